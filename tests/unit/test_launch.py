"""Starting a worker, as far as it gets without Redis."""

import os
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_a_module_of_plain_tasks_that_is_not_there_is_named_with_its_setting() -> None:
    environment = {**os.environ, "HEADRACE_PLAIN_TASK_MODULES": '["no_such_chores"]'}

    done = subprocess.run(
        [sys.executable, "-m", "workers"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.returncode == 1
    assert "error: plain_task_modules: no_such_chores cannot be imported" in done.stderr.splitlines()[-1]
