"""The demo as a newcomer runs it, on few sentences."""

import subprocess
import sys
from pathlib import Path

import pytest

from headrace.running import find_running

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[2]


def test_the_demo_proves_its_answers_and_leaves_nothing_running(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "examples.demo", "--sentences", "20", "--data-dir", str(tmp_path)]

    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=110, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("✓") == 3
    assert "10 of 10 pairs" in done.stdout
    assert find_running(tmp_path) is None
