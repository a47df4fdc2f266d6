"""The operations as processes of an earlier release carry them out: its scripts, pinned, and its arguments."""

from functools import cache
from pathlib import Path
from typing import Any

from headrace.jobs import Lease
from tests.integration.script_cell import GROUPS, STANDARD, TTL_S, Cell

#: The release whose scripts are kept; never changed, only replaced by a younger one when it is supported no more.
FOLDER = Path(__file__).parent / "scripts_0_1"


@cache
def _text(name: str) -> str:
    return (FOLDER / f"{name}.lua").read_text()


class OldCell:
    """A cell as that release sees it.

    Args:
        cell: the same one as this release sees it.
    """

    def __init__(self, cell: Cell) -> None:
        self._redis, self._prefix = cell.redis, cell.keys.prefix

    def _run(self, script: str, *args: Any) -> Any:
        return self._redis.eval(_text(script), 1, self._prefix, *args)

    def submit(self, job_id: str) -> str:
        """Submit a job of model `m@1`; answers the outcome."""
        offset, floor, cap, attempts = 60_000, 0, 1000, 3
        head = (f"default/{job_id}", "default", STANDARD, "m@1", "standard", offset, floor, cap, b'{"x":1}', attempts)
        outcome: bytes = self._run("submit", *head, 0, 0, 0, "", "", 86_400, "")[0]
        return outcome.decode()

    def take(self, *, worker: str = "old", jobs: int = 10) -> list[Lease]:
        """Claim; answers the leases."""
        reply = self._run("claim", worker, jobs, jobs // 4, 10**6, 60_000, *GROUPS)
        return [Lease(reply[i].decode(), reply[i + 1]) for i in range(2, len(reply), 6)]

    def start(self, leases: list[Lease]) -> str:
        """Begin the forward pass."""
        flags: bytes = self._run("start", *(part for lease in leases for part in lease))
        return flags.decode()

    def commit(self, leases: list[Lease], *, body: bytes = b'"done"') -> str:
        """Commit all as succeeded; answers one character a job."""
        rows = [part for member, fence in leases for part in (member, fence, "succeeded", "", body)]
        answers: bytes = self._run("commit", TTL_S, 7, *rows)
        return answers.decode()

    def release(self, leases: list[Lease]) -> int:
        """Give jobs back."""
        return int(self._run("release", *(part for lease in leases for part in lease)))

    def cancel(self, member: str) -> str:
        """Cancel a job; answers its state."""
        status: bytes = self._run("cancel", member, TTL_S)
        return status.decode()

    def reap(self) -> int:
        """Take back what has lapsed."""
        return int(self._run("reap", 100, TTL_S)[0])
