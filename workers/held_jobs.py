"""HeldJobs: the jobs that this worker has leased and not ended, by the number (slot) the child knows them by."""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Container, Iterable, Sequence
from functools import cache

from headrace.groups import split_group
from headrace.jobs import Cause, Lease
from headrace.presence import GroupLoad
from headrace.store_work import ClaimedJob
from headrace.tiers import Tier
from workers.claim_policy import Staged
from workers.suspects import Suspects, is_suspect


class HeldJob:
    """A leased job."""

    __slots__ = (
        *("began_s", "deadline_s", "flow", "group", "job", "leads", "mates"),
        *("kept", "noted_s", "ref", "running", "slot", "tier"),
    )

    def __init__(self, slot: int, job: ClaimedJob, group: str, claimed_at: float = 0.0) -> None:
        self.slot = slot
        self.job = job
        self.group = group
        #: Place of its tier, 0 for the most urgent one.
        self.ref, self.tier = _parts(group)
        #: Monotonic seconds.
        self.deadline_s = math.inf if job.deadline_in_ms is None else claimed_at + job.deadline_in_ms / 1000
        #: Its group and tenant, among which places are shared.
        self.flow = group + job.member.partition("/")[0]
        #: True if it was the only one of its tenant when it came: then it goes before those of others.
        self.leads = False
        #: True while it is in a forward pass.
        self.running = False
        #: When that began, monotonic seconds, and how many were in it.
        self.began_s, self.mates = 0.0, 1
        #: When how far it is was last noted for those who wait for it, monotonic seconds.
        self.noted_s = -math.inf
        #: How far its pass is, for the worker that runs it next.
        self.kept = b""

    @property
    def id(self) -> str:
        """The job's."""
        return self.job.member.partition("/")[2]

    def is_overdue(self, now: float) -> bool:
        """Tell whether its pass has taken longer than was asked for it."""
        limit_s = self.job.run_timeout_s
        return limit_s is not None and self.running and now - self.began_s > limit_s

    @property
    def row(self) -> tuple[int, bytes, int, float, bool, bytes, int | None]:
        """What the child is told of it."""
        job = self.job
        return self.slot, job.input, self.tier, self.deadline_s, self.leads, job.checkpoint, job.seed


@cache
def _parts(group: str) -> tuple[str, int]:
    ref, tier = split_group(group)
    return str(ref), list(Tier).index(tier)


class HeldJobs:
    """All of them. Read by the lease keeper's thread, changed by the event loop only."""

    def __init__(self) -> None:
        self._by_slot: dict[int, HeldJob] = {}
        self._slots = itertools.count(1)
        self.suspects = Suspects()
        self.running = 0
        self._bytes = self._urgent = 0
        #: Jobs that are not in a forward pass, by flow.
        self._staged_of: defaultdict[str, int] = defaultdict(int)

    def __len__(self) -> int:
        return len(self._by_slot)

    @property
    def staged(self) -> Staged:
        """What is held but not in a forward pass."""
        return Staged(len(self._by_slot) - self.running, self._bytes, self._urgent)

    def staged_but(self, refs: Container[str]) -> Staged:
        """The same without the jobs of these versions."""
        staged = [held for held in self.all() if not held.running and held.ref not in refs]
        return Staged(len(staged), sum(len(held.job.input) for held in staged), sum(held.tier == 0 for held in staged))

    def add(self, job: ClaimedJob, *, group: str, claimed_at: float = 0.0) -> HeldJob:
        """Hold a job that was just claimed, at `claimed_at` in monotonic seconds."""
        [held] = self.add_all([(job, group)], claimed_at=claimed_at)
        return held

    def add_all(self, claimed: Iterable[tuple[ClaimedJob, str]], *, claimed_at: float = 0.0) -> list[HeldJob]:
        """Hold jobs that were just claimed, each with its group, at `claimed_at` in monotonic seconds."""
        jobs = [HeldJob(next(self._slots), job, group, claimed_at) for job, group in claimed]
        for held in jobs:
            self._by_slot[held.slot] = held
            held.leads = not self._staged_of[held.flow]
            self._staged_of[held.flow] += 1
            if held.job.rescues and is_suspect(held.job):
                self.suspects.add(held.slot)
        self._stage(jobs, 1)
        return jobs

    def start(self, slots: Sequence[int], *, now: float = 0.0) -> list[HeldJob]:
        """These are in a forward pass from `now` on; those not held any more are passed over."""
        started = [held for slot in slots if (held := self._by_slot.get(slot)) is not None and not held.running]
        for held in started:
            held.running, held.began_s, held.mates = True, now, len(slots)
        self._unstage(started)
        self.running += len(started)
        return started

    def _unstage(self, jobs: Sequence[HeldJob]) -> None:
        for held in jobs:
            self._staged_of[held.flow] -= 1
        self._stage(jobs, -1)

    def _stage(self, jobs: Sequence[HeldJob], sign: int) -> None:
        self._bytes += sign * sum([len(held.job.input) for held in jobs])
        self._urgent += sign * [held.tier for held in jobs].count(0)

    def overdue(self, now: float) -> list[HeldJob]:
        """Jobs whose pass has taken longer than was asked for them."""
        return [held for held in self.all() if held.is_overdue(now)]

    def stop_running(self, refs: Collection[str]) -> None:
        """Nothing of these versions is in a forward pass: their process is gone."""
        for held in self._by_slot.values():
            if held.running and held.ref in refs:
                held.running = False
                self.running -= 1
                self._staged_of[held.flow] += 1
                self._stage([held], 1)

    def blame(self, slots: Sequence[int], refs: Collection[str], cause: Cause) -> list[HeldJob]:
        """The process of these versions died with these jobs in hand, for a cause; answers the jobs to be given up."""
        present = [held for held in map(self._by_slot.get, slots) if held is not None]
        final = [held.slot for held in present if not held.job.may_repeat(cause)]
        waiting = [held.slot for held in self.all() if held.ref in refs]
        convicted = self.suspects.process_died(slots, waiting, final)
        for slot in slots:
            if slot not in self._by_slot:
                self.suspects.forget(slot)
        return [self._by_slot[slot] for slot in convicted if slot in self._by_slot]

    def get(self, slot: int) -> HeldJob | None:
        """The job of a slot, None if it is not held any more."""
        return self._by_slot.get(slot)

    def remove(self, slot: int) -> HeldJob | None:
        """Let go of a job."""
        [held] = self.remove_all([slot])
        return held

    def remove_all(self, slots: Sequence[int]) -> list[HeldJob | None]:
        """Let go of the jobs of these slots; None stands for one that is not held any more."""
        jobs = [self._by_slot.pop(slot, None) for slot in slots]
        if self.suspects:
            for slot in slots:
                self.suspects.forget(slot)
        gone = [held for held in jobs if held is not None]
        staged = [held for held in gone if not held.running]
        self.running -= len(gone) - len(staged)
        self._unstage(staged)
        return jobs

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
