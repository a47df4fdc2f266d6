"""HeldJobs: the jobs that this worker has leased and not ended, by the number (slot) the child knows them by."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from headrace.jobs import Lease
from headrace.presence import GroupLoad
from headrace.store import ClaimedJob
from workers.suspects import Suspects, is_suspect


class HeldJob:
    """A leased job."""

    __slots__ = ("group", "job", "ref", "request", "running", "slot")

    def __init__(self, slot: int, job: ClaimedJob, ref: str, group: str) -> None:
        self.slot = slot
        self.job = job
        self.ref = ref
        self.group = group
        #: True while it is in a forward pass.
        self.running = False
        #: What Celery sees of it.
        self.request: Any = None


class HeldJobs:
    """All of them. Read by the lease keeper's thread, changed by the event loop only."""

    def __init__(self) -> None:
        self._by_slot: dict[int, HeldJob] = {}
        self._slots = itertools.count(1)
        self.suspects = Suspects()
        self.running = 0

    def __len__(self) -> int:
        return len(self._by_slot)

    @property
    def staged(self) -> int:
        """How many are held but not in a forward pass."""
        return len(self._by_slot) - self.running

    def add(self, job: ClaimedJob, *, ref: str, group: str) -> HeldJob:
        """Hold a job that was just claimed."""
        slot = next(self._slots)
        held = self._by_slot[slot] = HeldJob(slot, job, ref, group)
        if is_suspect(job):
            self.suspects.add(slot)
        return held

    def start(self, slots: Iterable[int]) -> list[HeldJob]:
        """These are in a forward pass now; those not held any more are passed over."""
        started = [held for slot in slots if (held := self._by_slot.get(slot)) is not None]
        for held in started:
            held.running = True
        self.running = len(started)
        return started

    def stop_running(self) -> None:
        """Nothing is in a forward pass: its process is gone."""
        for held in self._by_slot.values():
            held.running = False
        self.running = 0

    def blame(self, slots: Sequence[int]) -> list[HeldJob]:
        """The model's process died with these in it; answers the jobs to be given up."""
        convicted = self.suspects.process_died(slots)
        for slot in slots:
            if slot not in self._by_slot:
                self.suspects.forget(slot)
        return [self._by_slot[slot] for slot in convicted if slot in self._by_slot]

    def get(self, slot: int) -> HeldJob | None:
        """The job of a slot, None if it is not held any more."""
        return self._by_slot.get(slot)

    def remove(self, slot: int) -> HeldJob | None:
        """Let go of a job."""
        held = self._by_slot.pop(slot, None)
        self.suspects.forget(slot)
        if held is not None and held.running:
            self.running -= 1
        return held

    def all(self) -> list[HeldJob]:
        """Every held job in the order of its claim; one atomic step, so any thread may ask."""
        return list(self._by_slot.values())

    def loads(self) -> dict[str, GroupLoad]:
        """How many jobs of each group are held, and how many of them run."""
        held = self.all()
        counts = Counter(job.group for job in held)
        running = Counter(job.group for job in held if job.running)
        return {group: GroupLoad(held=count, running=running[group]) for group, count in counts.items()}

    def leases(self) -> list[Lease]:
        """Every lease that must be renewed."""
        return [held.job.lease for held in self.all()]
