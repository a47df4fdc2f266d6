"""Failpoints: named steps of the program at which a test makes a process die, stand still or fail.

`failpoint("worker.claimed")` does nothing at all unless the environment of the process says HEADRACE_FAILPOINTS, which
is read once, at import: without it the name is bound to an empty function. It is no setting, so that no file can arm a
service for good, and models' processes need not load the settings. It says either

* a plan, `worker.claimed=kill9@3; api.answered=sleep(0.5)`: at the third hit of each process, or at every hit; or
* `@folder`: a file `folder/<name>` that holds `kill9@3` arms a step of all processes that share the folder, at any
  time; the one that fires takes the file away first (it becomes `<name>.fired-<pid>`), so it fires once.

The idea is FreeBSD's fail(9), and TiKV's fail-rs.
"""

import errno
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol

from headrace.errors import SettingsError

#: Every step that can be armed, and when it is reached. Steps of a batch are reached once for all its jobs.
FAILPOINTS: Mapping[str, str] = MappingProxyType(
    {
        "api.body_read": "a submission's body is read; nothing is stored",
        "api.before_submit": "the job is checked and about to be stored",
        "api.submitted": "the job is stored; under strict durability its disk may not have followed",
        "api.before_answer": "the job is stored as durably as promised; the answer is not made yet",
        "api.bulk_read": "many jobs are read; none of them is stored",
        "api.bulk_piece": "a part of many jobs is stored; the rest may not be",
        "api.bulk_stored": "many jobs are stored as durably as promised; the answer is not made yet",
        "api.before_amend": "a job that waits is about to be changed",
        "api.amended": "a job is changed, or was found not to wait; the answer is not made yet",
        "api.before_erase": "what a job holds is about to be deleted",
        "api.erased": "what a job held is deleted; the answer is not made yet",
        "api.answered": "the answer to a request is handed to the socket",
        "worker.before_claim": "a claim is about to be sent",
        "worker.claimed": "the answer of a claim is here and not looked at: its jobs are leased, and nobody knows",
        "worker.before_send": "claimed jobs are about to go to the child",
        "worker.sent": "claimed jobs have gone to the child",
        "worker.started": "the child has begun a forward pass",
        "worker.before_start": "the start of a lasting pass is about to be recorded",
        "worker.before_progress": "how far jobs are is about to be noted",
        "worker.progressed": "how far jobs are is noted, and of those who asked for it an event waits to be told",
        "worker.before_renew": "the leases are about to be renewed (in the keeper's thread)",
        "worker.before_commit": "the results of a batch are here and about to be committed",
        "worker.committed": "the answer of a commit is here and not looked at",
        "worker.before_release": "jobs are about to be given back",
        "worker.draining": "a stopping worker has given back what had not begun, and its batch still runs",
        "child.before_forward": "the child has said which jobs are in the pass, and is about to begin it",
        "child.before_progress": "a model has said how far its items are, and the parent was not told",
        "child.after_forward": "the pass is over, its results are made, and the parent was not told",
        "child.before_load": "a model version is about to be fetched and loaded",
        "courier.before_claim": "due deliveries are about to be leased",
        "courier.claimed": "deliveries are leased and not attempted",
        "courier.posting": "an event is signed and about to be sent",
        "courier.sent": "an event was sent to its receiver, and no answer is read",
        "courier.posted": "the receiver has answered, and that is not recorded",
        "courier.before_settle": "outcomes of attempts are about to be recorded",
        "courier.settled": "the outcomes are recorded",
        "courier.test_taken": "a test of a receiver is taken from the list, and not made",
        "courier.tested": "a receiver has answered a test, and whoever asked for it was not told",
        "scheduler.leading": "the lead was taken or kept, and nothing is done with it yet",
        "scheduler.before_reap": "expired leases are about to be taken back",
        "scheduler.reaped": "expired leases were taken back; deadlines and delays are not looked at yet",
        "scheduler.decided": "the number of workers is decided and not written",
        "scheduler.desired": "the number of workers is written, and its owner was not waited for",
        "registry.files_put": "the files of a pushed version are stored; its manifest is not",
        "registry.manifest_put": "a version is complete and not released",
        "registry.part_written": "a part of a file is fetched, more is to come",
    }
)

_ENTRY = re.compile(r"(?P<act>kill9|stop|exit|raise|sleep|enospc)(\((?P<value>[0-9.]+)\))?(@(?P<hit>[1-9][0-9]*))?")


class FailpointRaised(RuntimeError):
    """What `raise` raises: an error that nobody foresaw."""


class Failpoint(Protocol):
    """What `failpoint` is, armed or not."""

    def __call__(self, name: str, /) -> None:
        """A step of the program is reached."""


class Act(NamedTuple):
    """What happens at a step."""

    kind: str
    #: Seconds of `stop` and `sleep`, status of `exit`.
    value: float | None
    #: The hit at which it happens; None is every hit.
    hit: int | None

    @classmethod
    def parse(cls, text: str) -> "Act":
        """Read `kill9`, `stop(2)@3`, `exit(7)`, `raise`, `sleep(0.5)@1`, `enospc`.

        Raises:
            SettingsError: if it is none of these.
        """
        found = _ENTRY.fullmatch(text.strip())
        if found is None:
            raise SettingsError(
                f"HEADRACE_FAILPOINTS: '{text}' is no act; write kill9, stop(s), exit(n), raise, sleep(s) or enospc,"
                " with @n for the nth hit"
            )
        value, hit = found["value"], found["hit"]
        return cls(found["act"], float(value) if value else None, int(hit) if hit else None)

    def do(self, name: str) -> None:
        """Let it happen to this process."""
        _ACTS[self.kind](name, self.value)


def _kill(name: str, value: float | None) -> None:  # noqa: ARG001 - all acts are called alike
    os.kill(os.getpid(), signal.SIGKILL)


def _stop(name: str, seconds: float | None) -> None:  # noqa: ARG001 - all acts are called alike
    """Stand still with all threads; for good without seconds: somebody else sends SIGCONT then."""
    if seconds is not None:
        subprocess.Popen(["sh", "-c", f"sleep {seconds}; kill -CONT {os.getpid()}"], start_new_session=True)
    os.kill(os.getpid(), signal.SIGSTOP)


def _exit(name: str, status: float | None) -> None:  # noqa: ARG001 - all acts are called alike
    os._exit(int(status or 0))


def _raise(name: str, value: float | None) -> None:  # noqa: ARG001 - all acts are called alike
    raise FailpointRaised(f"failpoint {name}")


def _sleep(name: str, seconds: float | None) -> None:  # noqa: ARG001 - all acts are called alike
    time.sleep(seconds or 0)


def _no_space(name: str, value: float | None) -> None:  # noqa: ARG001 - all acts are called alike
    raise OSError(errno.ENOSPC, f"failpoint {name}: no space left on device")


_ACTS: Mapping[str, Callable[[str, float | None], None]] = MappingProxyType(
    {"kill9": _kill, "stop": _stop, "exit": _exit, "raise": _raise, "sleep": _sleep, "enospc": _no_space}
)


class Plan:
    """Acts that are known from the start."""

    def __init__(self, text: str) -> None:
        entries = (entry.partition("=") for entry in text.split(";") if entry.strip())
        self._acts = {_known(name.strip()): Act.parse(act) for name, _, act in entries}
        self._hits = Counter[str]()

    def __call__(self, name: str, /) -> None:
        """A step is reached."""
        act = self._acts.get(name)
        if act is None:
            return
        self._hits[name] += 1
        if act.hit is None or act.hit == self._hits[name]:
            act.do(name)


class ArmedFolder:
    """Acts that come and go as files of a folder, each of which happens once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._hits = Counter[str]()

    def __call__(self, name: str, /) -> None:
        """A step is reached."""
        file = self._folder / name
        try:
            act = Act.parse(file.read_text())
        except FileNotFoundError:
            self._hits.pop(name, None)
            return
        self._hits[name] += 1
        if self._hits[name] >= (act.hit or 1) and self._is_ours(file):
            act.do(name)

    @staticmethod
    def _is_ours(file: Path) -> bool:
        try:
            file.rename(file.with_name(f"{file.name}.fired-{os.getpid()}"))
        except FileNotFoundError:
            return False  # another process was faster
        return True


def armed(text: str) -> Failpoint:
    """The function that does what HEADRACE_FAILPOINTS says.

    Raises:
        SettingsError: if it names a step or an act that there is not.
    """
    return ArmedFolder(Path(text[1:])) if text.startswith("@") else Plan(text)


def _known(name: str) -> str:
    if name not in FAILPOINTS:
        raise SettingsError(f"HEADRACE_FAILPOINTS: there is no step '{name}'; there are {', '.join(FAILPOINTS)}")
    return name


def _unarmed(name: str, /) -> None:
    """Nothing."""


_said = os.environ.get("HEADRACE_FAILPOINTS", "")
failpoint: Failpoint = armed(_said) if _said else _unarmed
