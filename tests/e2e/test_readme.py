"""What the README has a stranger type, typed: its model, its commands, its request, its programs."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.test_up import CHECKOUT, Up, environment, wait_for

pytestmark = pytest.mark.slow

README = (CHECKOUT / "README.md").read_text()
QUICK_START = README[README.index("## A model in 15 lines") : README.index("## What is promised")]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", QUICK_START, re.MULTILINE | re.DOTALL)


def commands() -> Iterator[str]:
    """Lines after a prompt, without their comments; the system is up already."""
    for block in blocks("console"):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ ") and "make up" not in line:
                yield re.sub(r"\s+# .*", "", line[2:])


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    up = Up(tmp_path)
    wait_for(lambda: up.says("Headrace is up"), "the API")
    yield up
    up.end()


@pytest.fixture
def run(up: Up) -> Callable[[str], str]:
    """Types a line in a folder with what the README says that there is; answers what it printed."""
    folder = up.data_dir / "stranger"
    (folder / "shouter").mkdir(parents=True)
    (folder / "shouter" / "model.py").write_text(blocks("python")[0])
    (folder / "items.jsonl").write_text('{"text": "one"}\n{"text": "two"}\n')
    (folder / "program.py").write_text(blocks("python")[1])
    settings = {"HEADRACE_DATA_DIR": str(up.data_dir), "PYTHONPATH": str(CHECKOUT)}

    def run(line: str) -> str:
        line = line.replace(".venv/bin/headrace", f"{sys.executable} -m headrace.cli").replace(":8080", f":{up.port}")
        there = {**environment(up.data_dir), **settings}
        done = subprocess.run(["sh", "-c", line], cwd=folder, env=there, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        return done.stdout

    return run


def test_the_quick_start_does_what_it_says(run: Callable[[str], str]) -> None:
    lines = [line for line in commands() if not line.startswith("curl ") or shutil.which("curl")]

    printed = {line: run(line) for line in lines}

    [waited] = [line for line in lines if line.endswith("--wait")]
    assert f"{waited}\n{printed[waited]}" in QUICK_START
    assert ('"HELLO"\n', "HELLO\n['A', 'B', 'C']\n") == (printed[waited], run(f"{sys.executable} program.py"))
    assert all('"result":"HELLO"' in text for line, text in printed.items() if line.startswith("curl "))
    assert len(lines) >= 6
