"""A test whose program is missing is named as not run; where all must run, it fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
NEEDY = """
def test_that_needs_a_program(program):
    program("no-such-program")
"""


@pytest.mark.parametrize(("options", "status", "word"), [((), 0, "1 skipped"), (("--require-all",), 1, "1 failed")])
def test_a_missing_program_skips_or_fails(options: tuple[str, ...], status: int, word: str, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_bytes((CHECKOUT / "tests" / "conftest.py").read_bytes())
    (tmp_path / "test_needy.py").write_text(NEEDY)
    command = [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}

    done = subprocess.run(
        [*command, *options], cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
    )

    assert status == done.returncode, done.stdout
    assert "not run: the program no-such-program is not installed" in done.stdout
    assert word in done.stdout


def test_continuous_integration_leaves_nothing_out() -> None:
    script = (CHECKOUT / ".ci" / "run").read_text()

    assert "--require-all" in script
    for program in ("chromium", "haproxy", "prometheus", "redis-tools", "wget"):
        assert program in script
