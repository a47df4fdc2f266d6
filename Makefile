# Everything a developer types. `make help` lists it.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.installed
CANARY := .bench/canary
CELERY_TESTS := $(addprefix tests/,integration/test_celery_worker.py integration/test_celery_control.py integration/test_submit_task.py faults/test_shutdown_ways.py faults/test_reconnects.py)

.PHONY: help setup demo up test lint types layers pytest fuzz canary faults soak bench clean
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

fuzz: setup  ## ten minutes of requests made up from the OpenAPI document (SECONDS=600)
	@$(BIN)/python -m pytest tests/contract/test_api_fuzzed.py -rP --fuzz-time=$(or $(SECONDS),600)

canary: setup  ## the tests of Celery's side against the newest Celery that pip finds; allowed to fail, loudly
	@$(PYTHON) -m venv --clear $(CANARY)
	@$(CANARY)/bin/python -m pip install --quiet --disable-pip-version-check --upgrade --upgrade-strategy eager 'celery[redis]' hiredis
	@$(BIN)/python -c 'import site; print("import site; site.addsitedir(%r)" % site.getsitepackages()[0])' > $$(echo $(CANARY)/lib/python3.*/site-packages)/headrace.pth
	@$(CANARY)/bin/python -c 'import billiard, celery, kombu, redis; print("celery", celery.__version__, "kombu", kombu.__version__, "billiard", billiard.__version__, "redis", redis.__version__, celery.__file__)'
	@$(CANARY)/bin/python -m pytest -m '' $(CELERY_TESTS)

soak: setup  ## many jobs while processes are killed, with the table of what came of them (JOBS=100000 SEED=1)
	@$(BIN)/python -m tests.faults.soak $(if $(JOBS),--jobs $(JOBS)) $(if $(SEED),--seed $(SEED))

bench: setup  ## measure the queue's overhead against celery-batches
	@$(BIN)/python -m bench drain --model noop

clean:  ## remove what set-up and runs have made
	rm -rf .venv .headrace .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
