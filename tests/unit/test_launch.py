"""Starting a worker, as far as it gets without Redis."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("PLAIN_TASK_MODULES", '["no_such_chores"]', "plain_task_modules: no_such_chores cannot be imported"),
        ("LEASE_MS", "long", "settings cannot be used: HEADRACE_LEASE_MS: "),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_in_one_line(variable: str, value: str, says: str) -> None:
    environment = {**os.environ, f"HEADRACE_{variable}": value}

    done = subprocess.run(
        [sys.executable, "-m", "workers"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 1
    assert [True] == [f"error: {says}" in line for line in done.stderr.splitlines()]
