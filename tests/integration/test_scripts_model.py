"""The scripts against a model of a few lines: the same operations give the same states, attempts and order."""

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from headrace.groups import group_of
from headrace.jobs import REPEATABLE, Cause, JobStatus, Lease
from headrace.keys import Keys
from headrace.store_care import Hastened, Swept
from headrace.store_work import CommitAnswer
from headrace.sync_redis import SyncRedis
from headrace.tiers import FLOOR_MS, OFFSET_MS, Tier
from headrace.webhooks import DeliveryState, delivery_id_of
from tests.integration.script_cell import GROUPS, REF, Cell, usage_totals
from tests.integration.script_ledger import HOOK

KEPT, REFUSED = CommitAnswer.KEPT, CommitAnswer.REFUSED
QUEUED, RUNNING, CANCELING = JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.CANCELING

#: Longer than any test, and than the tiers lie apart.
FAR_MS = 10_000_000

#: What some jobs may be tried again for, and causes of which that is one.
PICKY = (Cause.OOM,)
PICKY_OR_NOT = (Cause.OOM, Cause.TIMEOUT)

#: What the model of some draws random numbers from.
SEED = 7

#: More make a history longer, not richer.
MOST_JOBS = 15


@dataclass
class ModelJob:
    """What should be true of a job."""

    score: int
    #: The tier by which its score counts, and the one in which it is served.
    place: Tier
    tier: Tier
    max_attempts: int
    #: Causes for which an attempt may be repeated.
    retry_on: tuple[Cause, ...] = REPEATABLE
    #: Nobody else may be in its pass.
    is_apart: bool = False
    seed: int | None = None
    deadline: bool = False
    status: JobStatus = QUEUED
    attempts: int = 0
    rescues: int = 0
    lease: Lease | None = None
    is_delayed: bool = False
    #: Somebody is to be told of its end, and has not been yet.
    has_listener: bool = False
    #: How far its pass was when it was given back last.
    kept: bytes = b""

    @property
    def is_ready(self) -> bool:
        """Claimable."""
        return self.status is QUEUED and self.lease is None and not self.is_delayed

    def is_over_after(self, cause: Cause) -> bool:
        """Whether an attempt that fails for this is the last."""
        return self.attempts >= self.max_attempts or cause not in self.retry_on

    def give_back(self) -> None:
        """Let go of the lease, waiting again."""
        self.status, self.lease = QUEUED, None

    def end(self, status: JobStatus) -> None:
        """End for good."""
        self.status, self.lease, self.is_delayed = status, None, False


class ScriptsAgainstModel(RuleBasedStateMachine):
    """One tenant's jobs in three tiers; leases run out and delays pass when a rule says so."""

    def __init__(self, connection: SyncRedis, keys: Keys) -> None:
        super().__init__()
        self._connection, self._keys = connection, keys
        self.jobs: dict[str, ModelJob] = {}
        self.old: list[Lease] = []
        self.paused: set[Tier] = set()

    cells = iter(range(100_000))

    @initialize()
    def open_cell_with_work(self) -> None:
        """Each history has a cell of its own, with jobs that one worker holds and some that wait."""
        self.cell = Cell(connection=self._connection, keys=Keys(cell=f"{self._keys.cell}m{next(self.cells)}"))
        for tier in (Tier.SPOT, Tier.STANDARD, Tier.STANDARD, Tier.PRIORITY, Tier.STANDARD):
            self._submit(tier, attempts=2, kind="now")
        self._claim(3, starts=True)

    # --- choosing -------------------------------------------------------------------------------------------

    def _held(self) -> list[str]:
        return [member for member, job in self.jobs.items() if job.lease]

    def _pick(self, pick: int, members: list[str]) -> str:
        return members[pick % len(members)]

    # --- rules ----------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.jobs) < MOST_JOBS)
    @rule(
        tier=st.sampled_from(Tier),
        attempts=st.integers(1, 3),
        kind=st.sampled_from(["now", "later", "deadline", "told", "picky", "apart", "seeded"]),
    )
    def submit(self, tier: Tier, attempts: int, kind: str) -> None:
        """A job arrives."""
        self._submit(tier, attempts, kind)

    def _submit(self, tier: Tier, attempts: int, kind: str) -> None:
        far = self.cell.now_ms() + FAR_MS
        kinds: dict[str, dict[str, Any]] = {
            "later": {"not_before_ms": far},
            "deadline": {"deadline_ms": far},
            "told": {"webhook_url": HOOK},
            "picky": {"retry_on": PICKY},
            "apart": {"is_batchable": False},
            "seeded": {"seed": SEED},
        }
        number = len(self.jobs)
        member = self.cell.submit(f"j{number:03}", tier=tier, max_attempts=attempts, **kinds.get(kind, {})).member
        score = OFFSET_MS[tier] + (FAR_MS if kind == "later" else 0)
        self.jobs[member] = ModelJob(
            score,
            tier,
            tier,
            attempts,
            PICKY if kind == "picky" else REPEATABLE,
            kind == "apart",
            SEED if kind == "seeded" else None,
            kind == "deadline",
            is_delayed=kind == "later",
            has_listener=kind == "told",
        )

    @precondition(lambda self: any(job.is_ready for job in self.jobs.values()))
    @rule(count=st.integers(1, 4), starts=st.booleans())
    def claim(self, count: int, starts: bool) -> None:
        """A worker claims: the most urgent tiers first, within a tier in order of arrival."""
        self._claim(count, starts=starts)

    def _claim(self, count: int, *, starts: bool) -> None:
        ready = sorted((job.score, member) for member, job in self.jobs.items() if self._is_claimable(job))
        expected = [member for _, member in ready[:count]]

        claimed = self.cell.claim(jobs=count)

        assert expected == [job.member for job in claimed.jobs]
        assert (len(ready) > count) == claimed.more
        for job in claimed.jobs:
            known = self.jobs[job.member]
            assert (known.attempts, known.rescues, known.kept) == (job.attempts, job.rescues, job.checkpoint)
            assert known.retry_on == (REPEATABLE if job.retry_on is None else job.retry_on)
            assert (known.is_apart, known.seed) == (job.runs_apart, job.seed)
            self.jobs[job.member].lease = job.lease
            self.old.append(job.lease)
        if starts:
            self._start([job.lease for job in claimed.jobs])

    def _is_claimable(self, job: ModelJob) -> bool:
        return job.is_ready and job.tier not in self.paused

    @rule(tier=st.sampled_from(Tier))
    def pause(self, tier: Tier) -> None:
        """An operator pauses a queue, or once more."""
        self.cell.pause(group_of(REF, tier))
        self.paused.add(tier)

    @precondition(lambda self: self.paused)
    @rule(tier=st.sampled_from(Tier))
    def resume(self, tier: Tier) -> None:
        """An operator lets it go on, or another that was not paused: whoever waits for its jobs is woken."""
        group = group_of(REF, tier)
        waits, rings = bool(self.cell.ready(group)), self.cell.rings(group)

        assert (tier in self.paused) == self.cell.resume(group)
        assert rings + waits == self.cell.rings(group)
        self.paused.discard(tier)

    @precondition(lambda self: self._held())
    @rule(pick=st.integers(0, 9))
    def start(self, pick: int) -> None:
        """A worker begins a forward pass."""
        lease = self.jobs[self._pick(pick, self._held())].lease
        assert lease is not None
        self._start([lease])

    def _start(self, leases: list[Lease]) -> None:
        jobs = [self.jobs[lease.member] for lease in leases]

        assert [job.status is not CANCELING for job in jobs] == self.cell.run(self.cell.store.start(leases))
        for job in jobs:
            if job.status is QUEUED:
                job.status, job.attempts = RUNNING, job.attempts + 1

    @precondition(lambda self: self._held())
    @rule(pick=st.integers(0, 9))
    def commit(self, pick: int) -> None:
        """A worker has a result."""
        job = self.jobs[self._pick(pick, self._held())]
        assert job.lease is not None
        is_wanted = job.status is not CANCELING
        job.attempts += job.status is QUEUED

        assert [KEPT if is_wanted else REFUSED] == self.cell.commit([job.lease])
        job.end(JobStatus.SUCCEEDED if is_wanted else JobStatus.CANCELED)

    @precondition(lambda self: self._held())
    @rule(pick=st.integers(0, 9), backoff_ms=st.sampled_from([0, 1_000_000]), cause=st.sampled_from(PICKY_OR_NOT))
    def fail(self, pick: int, backoff_ms: int, cause: Cause) -> None:
        """An attempt comes to nothing."""
        job = self.jobs[self._pick(pick, self._held())]
        assert job.lease is not None
        job.attempts += job.status is QUEUED

        self.cell.fail([job.lease], backoff_ms=backoff_ms, cause=cause)
        if job.status is CANCELING:
            job.end(JobStatus.CANCELED)
        elif job.is_over_after(cause):
            job.end(JobStatus.FAILED)
        else:
            job.give_back()
            job.is_delayed, job.kept = backoff_ms > 0, b""

    @precondition(lambda self: self._held())
    @rule(pick=st.integers(0, 9), kept=st.sampled_from([b"", b"half"]))
    def release(self, pick: int, kept: bytes) -> None:
        """A worker gives a job back, perhaps with how far it is."""
        job = self.jobs[self._pick(pick, self._held())]
        assert job.lease is not None

        released = self.cell.run(self.cell.store.release([job.lease], kept={job.lease: kept}))

        assert int(job.status is not CANCELING) == released
        if released:
            job.attempts -= job.status is RUNNING
            job.kept = kept or job.kept
            job.give_back()

    @precondition(lambda self: self.old)
    @rule(pick=st.integers(0, 99))
    def come_back_late(self, pick: int) -> None:
        """A worker commits under a lease that it no longer holds: nothing changes."""
        lease = self.old[pick % len(self.old)]
        if self.jobs[lease.member].lease != lease:
            before = self.cell.job(lease.member)

            assert KEPT not in self.cell.commit([lease], body=b'"late"')
            assert before == self.cell.job(lease.member)

    @rule(pick=st.integers(0, 99), tier=st.sampled_from(Tier))
    def amend(self, pick: int, tier: Tier) -> None:
        """The owner is in more of a hurry, or in less."""
        member = self._pick(pick, list(self.jobs))
        job = self.jobs[member]
        if job.status is QUEUED and job.lease is None:
            job.score += OFFSET_MS[tier] - OFFSET_MS[job.place]
            job.place = job.tier = tier

            assert "amended" == self.cell.amend(member, tier=tier)
        else:
            assert self.cell.amend(member, tier=tier) in ("held", *JobStatus)

    @rule(pick=st.integers(0, 99), is_told=st.booleans())
    def change_who_is_told(self, pick: int, is_told: bool) -> None:
        """The owner wants to be told of an end, or no more."""
        member = self._pick(pick, list(self.jobs))
        job = self.jobs[member]
        if job.status is QUEUED and job.lease is None:
            job.has_listener = is_told

            assert "amended" == self.cell.amend(member, webhook_url=HOOK if is_told else "")
        else:
            assert self.cell.amend(member, webhook_url="") in ("held", *JobStatus)

    @precondition(lambda self: any(job.is_ready and job.deadline for job in self.jobs.values()))
    @rule()
    def hasten(self) -> None:
        """Spot machines are gone: what waits for them and has a deadline goes to the next tier, and keeps its place."""
        at_risk = [member for member, job in self.jobs.items() if job.is_ready and job.deadline]
        spot = [member for member in at_risk if self.cell.job(member).tier is Tier.SPOT]

        assert Hastened(len(spot), 0) == self.cell.hasten(needs_ms=2 * FAR_MS)
        assert all(Tier.STANDARD is self.cell.job(member).tier for member in spot)
        for member in spot:
            self.jobs[member].tier = Tier.STANDARD

    @rule(pick=st.integers(0, 99))
    def cancel(self, pick: int) -> None:
        """The owner wants a job no more."""
        member = self._pick(pick, list(self.jobs))
        job = self.jobs[member]
        if job.status is QUEUED:
            job.end(JobStatus.CANCELED)
        elif job.status is RUNNING:
            job.status = CANCELING

        assert job.status == self.cell.cancel(member)

    @precondition(lambda self: self._held())
    @rule()
    def reap(self) -> None:
        """All workers fall silent."""
        self.cell.lapse_leases()
        self.cell.reap()
        for job in self.jobs.values():
            if job.lease and job.status is CANCELING:
                job.end(JobStatus.CANCELED)
            elif job.lease and job.status is RUNNING and job.is_over_after(Cause.WORKER_LOST):
                job.end(JobStatus.FAILED)
            elif job.lease:
                job.rescues += 1
                job.give_back()

    @precondition(lambda self: any(job.is_delayed for job in self.jobs.values()))
    @rule()
    def promote(self) -> None:
        """All delays pass."""
        self.cell.lapse_delays()
        self.cell.run(self.cell.store.promote(limit=100))
        for job in self.jobs.values():
            job.is_delayed = False

    @precondition(lambda self: any(job.deadline and not job.status.is_terminal for job in self.jobs.values()))
    @rule()
    def expire(self) -> None:
        """All deadlines pass."""
        due = [member for member, job in self.jobs.items() if job.deadline and not job.status.is_terminal]
        self.cell.pass_deadlines(*due)
        self.cell.expire()
        for member in due:
            if self.jobs[member].status in (QUEUED, RUNNING):
                self.jobs[member].end(JobStatus.EXPIRED)

    @precondition(lambda self: self.old)
    @rule()
    def renew(self) -> None:
        """Every worker renews whatever it ever had: what it no longer holds is named, and stays lost."""
        lost = [str(lease) for lease in self.old if self.jobs[lease.member].lease != lease]

        assert lost == self.cell.run(self.cell.store.renew(self.old, lease_ms=60_000))

    @rule()
    def sweep(self) -> None:
        """Nothing is out of order at any time."""
        assert Swept(0, 0, 0) == self.cell.sweep()

    def _untold(self) -> set[str]:
        """What couriers should find."""
        return {
            delivery_id_of(member) for member, job in self.jobs.items() if job.has_listener and job.status.is_terminal
        }

    @precondition(lambda self: self._untold())
    @rule(count=st.integers(0, 3), is_heard=st.booleans())
    def tell(self, count: int, is_heard: bool) -> None:
        """A courier tells of some ends; of those that nobody heard it tells again."""
        self.cell.lapse_deliveries()
        due = self.cell.claim_deliveries()

        assert self._untold() == {delivery.id for delivery in due}
        state = DeliveryState.DELIVERED if is_heard else DeliveryState.PENDING
        assert [True] * len(due[:count]) == self.cell.settle(due[:count], state)
        for delivery in due[:count]:
            self.jobs[delivery.job.member].has_listener = not is_heard

    def teardown(self) -> None:
        """Nothing is out of order at the end."""
        assert Swept(0, 0, 0) == self.cell.sweep()

    # --- what always holds ----------------------------------------------------------------------------------

    @invariant()
    def records_say_what_the_model_says(self) -> None:
        """States and attempts."""
        jobs = self.cell.run_all([self.cell.store.read(member) for member in self.jobs])

        expected = [(member, job.status, job.attempts) for member, job in self.jobs.items()]
        assert expected == [(job.member, job.status, job.attempts) for job in jobs]

    @invariant()
    def sets_hold_what_they_should_and_nothing_else(self) -> None:
        """Ready, delayed, leased."""
        ready = {member for group in GROUPS for member in self.cell.ready(group)}
        delayed = {member.decode() for member in self.cell.redis.zrange(self.cell.keys.delayed, 0, -1)}
        leases = {lease.decode() for lease in self.cell.redis.zrange(self.cell.keys.leases, 0, -1)}

        assert {member for member, job in self.jobs.items() if job.is_ready} == ready
        assert {member for member, job in self.jobs.items() if job.is_delayed} == delayed
        assert {str(job.lease) for job in self.jobs.values() if job.lease} == leases

    @invariant()
    def each_job_and_each_end_is_counted_once(self) -> None:
        """In the usage of the tenant."""
        had = usage_totals(self.cell)

        ends = Counter(str(job.status) for job in self.jobs.values() if job.status.is_terminal)
        assert len(self.jobs) == had["accepted"]
        assert ends == Counter({status: had[status] for status in JobStatus if had[status]})

    @invariant()
    def whoever_is_to_be_told_of_an_end_is_in_the_outbox(self) -> None:
        """From the end on, until it was told."""
        assert self._untold() == {row.decode() for row in self.cell.redis.zrange(self.cell.keys.outbox, 0, -1)}


def test_the_scripts_do_what_the_model_does(connection: SyncRedis, keys: Keys) -> None:
    run_state_machine_as_test(
        cast("type[RuleBasedStateMachine]", partial(ScriptsAgainstModel, connection, keys)),
        settings=settings(max_examples=40, stateful_step_count=40, derandomize=True, database=None, deadline=None),
    )


def test_tiers_lie_apart_as_the_model_takes_them_to() -> None:
    assert sorted(Tier, key=lambda tier: OFFSET_MS[tier]) == list(Tier)
    assert all(FLOOR_MS[tier] <= OFFSET_MS[tier] for tier in Tier)
    assert all(group_of(REF, tier) in GROUPS for tier in Tier)
