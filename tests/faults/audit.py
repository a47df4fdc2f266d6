"""Audit: every change that Redis ever made to a record, read from its append-only file.

The scripts' writes stand there one by one, in order, across crashes and restarts of the server, so it knows what no
process can tell: which fence went to whom, and how often a job ended. The file must not have been rewritten.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import hiredis

from headrace.jobs import JobStatus
from headrace.keys import Keys

_CHUNK_BYTES = 1 << 20


class HandOver(NamedTuple):
    """A job given to a worker."""

    fence: int
    worker: str
    #: Redis's clock, which is this machine's.
    at_ms: int

    @property
    def pid(self) -> int:
        """Process id of the worker: its identity ends in `:pid:random`."""
        return int(self.worker.split(":")[-2])


@dataclass
class Story:
    """The life of one job."""

    hand_overs: list[HandOver] = field(default_factory=list)
    #: Every state that was written.
    states: list[JobStatus] = field(default_factory=list)
    fence: int = 0
    #: The fence with which it ended.
    final_fence: int | None = None

    @property
    def ends(self) -> list[JobStatus]:
        """Terminal states, of which there may be one."""
        return [state for state in self.states if state.is_terminal]

    def take(self, fields: dict[str, str]) -> None:
        """Note one HSET."""
        if "f" in fields:
            self.fence = int(fields["f"])
        if fields.get("w") and "l" in fields:
            self.hand_overs.append(HandOver(self.fence, fields["w"], int(float(fields["l"]))))
        if "s" in fields:
            self.states.append(JobStatus(fields["s"]))
            if self.states[-1].is_terminal:
                self.final_fence = self.fence


def read_audit(folder: Path, keys: Keys) -> dict[str, Story]:
    """The story of each job, by member, from a server's data folder."""
    prefix = keys.job("").encode()
    stories: dict[str, Story] = {}
    for file in append_only_files(folder):
        for command in commands(file):
            if command[0] == b"HSET" and command[1].startswith(prefix):
                member = command[1][len(prefix) :].decode()
                words = [word.decode() for word in command[2:]]
                stories.setdefault(member, Story()).take(dict(zip(words[::2], words[1::2], strict=True)))
    return stories


def append_only_files(folder: Path) -> list[Path]:
    """The parts of the file that hold commands, in the order of their writing."""
    parts = (folder / "appendonlydir").glob("*.incr.aof")
    return sorted(parts, key=lambda part: int(part.name.split(".")[-3]))


def commands(file: Path) -> Iterator[list[bytes]]:
    """Each whole command; the last may be torn."""
    reader = hiredis.Reader()
    with file.open("rb") as content:
        while chunk := content.read(_CHUNK_BYTES):
            reader.feed(chunk)
            while (command := reader.gets()) is not False:
                yield command
