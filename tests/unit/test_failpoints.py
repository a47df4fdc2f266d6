"""Failpoints: free when nobody arms them, called wherever they are documented, and exact when armed."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headrace.errors import SettingsError
from headrace.failpoints import FAILPOINTS, Act, ArmedFolder, FailpointRaised, Plan, failpoint

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("headrace", "registry", "api", "workers", "scheduler")


def test_unset_a_failpoint_is_the_empty_function() -> None:
    def empty(name: str, /) -> None:
        """Nothing."""

    assert empty.__code__.co_code == failpoint.__code__.co_code  # type: ignore[attr-defined] # unarmed it is a function


def test_every_documented_step_is_called_in_one_place() -> None:
    sources = [path for folder in SERVICES for path in (ROOT / folder).rglob("*.py")]
    called = [name for path in sources for name in re.findall(r'\bfailpoint\("([\w.]+)"\)', path.read_text())]

    # The first is the example in the module's own docstring.
    called.remove("worker.claimed")
    assert sorted(FAILPOINTS) == sorted(called)


def test_every_step_stands_in_the_documentation() -> None:
    page = (ROOT / "docs" / "faults.md").read_text()

    documented = dict(re.findall(r"^\| `([a-z]+\.\w+)` \| [^|]* \| (.*?) \|$", page, re.MULTILINE))
    assert dict(FAILPOINTS) == documented


def test_a_plan_acts_at_the_hit_that_it_names() -> None:
    plan = Plan("worker.sent=raise@2; worker.claimed=sleep(0)")

    plan("worker.sent")
    with pytest.raises(FailpointRaised):
        plan("worker.sent")
    plan("worker.sent")
    plan("worker.claimed")


def test_a_file_arms_a_step_once(tmp_path: Path) -> None:
    folder = ArmedFolder(tmp_path)
    folder("worker.sent")
    (tmp_path / "worker.sent").write_text("enospc@2")

    folder("worker.sent")
    with pytest.raises(OSError, match="no space left"):
        folder("worker.sent")
    folder("worker.sent")

    assert [path.name.partition(".fired-")[0] for path in tmp_path.iterdir()] == ["worker.sent"]


@pytest.mark.parametrize("text", ["worker.sent=explode", "worker.sent", "worker.lunch=kill9", "worker.sent=kill9@0"])
def test_a_plan_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="HEADRACE_FAILPOINTS"):
        Plan(text)


@pytest.mark.parametrize(("act", "status"), [("kill9", -9), ("exit(7)", 7)])
def test_a_process_ends_as_it_is_told(act: str, status: int) -> None:
    assert status == _process(act).wait(30)


def test_a_stopped_process_goes_on_after_its_time() -> None:
    began = time.monotonic()

    assert _process("stop(0.5)").wait(30) == 0
    assert time.monotonic() - began >= 0.5


def test_an_act_is_read_with_its_value_and_hit() -> None:
    assert [Act("stop", 2.5, 3), Act("kill9", None, None)] == [Act.parse("stop(2.5)@3"), Act.parse("kill9")]


def _process(act: str) -> subprocess.Popen[bytes]:
    code = 'from headrace.failpoints import failpoint; failpoint("worker.sent")'
    environment = {"HEADRACE_FAILPOINTS": f"worker.sent={act}", "PATH": "/usr/bin:/bin"}
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment)
