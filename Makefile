# Everything a developer types. `make help` lists it.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help setup demo up test lint types layers pytest faults soak bench clean
.DEFAULT_GOAL := help

help:  ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(STAMP)  ## make .venv with everything in it

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Headrace needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	@echo "bringing .venv up to date (the first time takes a few minutes: PyTorch is large)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt "torch==$$(sed -n 's/^torch==//p' constraints.txt)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[services,examples,dev]'
	@touch $(STAMP)

demo: setup  ## serve a real model end to end and print what happened
	@$(BIN)/python -m examples.demo $(if $(KEEP),--keep)

up: setup  ## start the whole system and leave it running (Ctrl-C ends it)
	@$(BIN)/headrace up

test: setup lint types layers pytest  ## everything that must be green

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup
	@$(BIN)/mypy

layers: setup
	@$(BIN)/lint-imports --no-cache

pytest: setup
	@$(BIN)/python -m pytest

faults: setup  ## kill, freeze and cut off processes at every step (about 20 minutes)
	@$(BIN)/python -m pytest tests/faults -m faults

soak: setup  ## many jobs while processes are killed, with the table of what came of them (JOBS=100000 SEED=1)
	@$(BIN)/python -m tests.faults.soak $(if $(JOBS),--jobs $(JOBS)) $(if $(SEED),--seed $(SEED))

bench: setup  ## measure the queue's overhead against celery-batches
	@$(BIN)/python -m bench drain --model noop

clean:  ## remove what set-up and runs have made
	rm -rf .venv .headrace .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
