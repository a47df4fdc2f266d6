"""The ledger: what was promised about jobs, checked after every step against what the server holds."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import redis

from headrace.endpoint_store import EndpointStore
from headrace.endpoints import Event, Health, Stop, letters_of
from headrace.groups import group_of, queue_of
from headrace.jobs import TRANSITIONS, Cause, Job, JobStatus, Lease, NewJob, Reason
from headrace.redis_op import RedisOp
from headrace.store_submissions import Amendment, SubmitOutcome
from headrace.store_work import CommitAnswer, PassProgress
from headrace.strays import set_keys_apart, typed_keys
from headrace.tenant_store import Bucket, Rate, TenantStore
from headrace.webhooks import DeliveryState, DueDelivery, delivery_id_of
from tests.integration.script_cell import ALL_GROUPS, GROUPS, TTL_S, Cell, new_job, usage_totals
from tests.integration.script_faults import INJECTED

T = TypeVar("T")

_KNOWN = frozenset({SubmitOutcome.ACCEPTED, SubmitOutcome.REPLAYED, SubmitOutcome.DUPLICATE})

#: Rounds after which a simple worker must have ended every job.
_MAX_ROUNDS = 12


class Violation(AssertionError):
    """Raised when a promise is broken."""


def require(holds: object, promise: str) -> None:
    """Raise if a promise does not hold."""
    if not holds:
        raise Violation(promise)


class Seen(NamedTuple):
    """A job at one moment."""

    job: Job
    output: bytes | None
    #: Something leads to it: nobody has to search for it.
    is_led_to: bool


def most_attempts(job: Job) -> int:
    """How many attempts may be charged: one, if none may be repeated whatever it fails of."""
    return 1 if job.retry_on == () else job.max_attempts


#: Told of the end of each job of a ledger.
HOOK = "https://example.com/hook"
#: Told also of its starts.
WITH_STARTS = letters_of(frozenset(Event))


class Ledger:
    """Carries out operations, of which some may be stopped half-way, and looks after each whether all promises hold.

    - An accepted job is always there, and something leads to it: a ready set with its turn, the delayed set, or a
      lease under its current fence; or it has ended and its result or error is there.
    - Its state only makes the moves of `TRANSITIONS`; once ended, neither record nor output changes.
    - Its fence never falls, a fence is handed out once, and no more attempts are charged than allowed: one if none may
      be repeated.
    - A result is kept at most once, under the current fence, and never after the lease was taken away.
    - A job that its owner erased may be gone, or without its output, but only once it has ended.
    - What tenants had is counted once: as many jobs as were accepted, and their ends; less only where a script stopped.
    - Nothing is claimed from a queue between the yes to pausing it and the call that resumes it, which wakes who waits.
    - The end of a job is in the outbox from the moment it can be seen until it is settled, and no courier gets to know
      of it earlier, or once it is settled. So is what is told before, each event under a number of its own.
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        #: True once an operation was stopped half-way.
        self.was_stopped = False
        self.moves: set[tuple[JobStatus, JobStatus]] = set()
        self._seen: dict[str, Seen] = {}
        self._leases: set[Lease] = set()
        self._settled: set[Lease] = set()
        #: Settled by a call that was stopped, or not.
        self._doubtful: set[Lease] = set()
        self._lost: set[Lease] = set()
        #: Deliveries that are over.
        self._told: set[str] = set()
        #: Asked to be told again, whatever became of that.
        self._replayed: set[str] = set()
        self._given_back: list[DueDelivery] = []
        #: Ended and told: their records may be gone.
        self._forgettable: set[str] = set()
        #: As they were last.
        self._known: dict[str, Job] = {}
        #: Whoever owns them wants nothing of them kept.
        self._erased: set[str] = set()
        self._paused: set[str] = set()

    # --- operations; None when they were stopped half-way ------------------------------------------------------

    def submit(self, job_id: str, **fields: Any) -> None:
        """Submit a job; from a yes on it is accepted."""
        self.submit_many([(job_id, fields)])

    def submit_many(self, jobs: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Submit jobs in one call; from a yes on they are accepted."""
        whole = [new_job(job_id, **{"webhook_url": HOOK, **fields}) for job_id, fields in jobs]
        answers = self._attempt(lambda: self.cell.run(self.cell.store.submit_many(whole, cap=1000))) or []
        for job, submitted in zip(whole, answers, strict=bool(answers)):
            require(submitted.outcome is not SubmitOutcome.GONE, "a name is taken, yet nobody was told of its job")
            twin = self._seen.get(submitted.member) if submitted.outcome is SubmitOutcome.DUPLICATE else None
            require(not twin or _stands_for(job, twin.job), f"{submitted.member} has ended, yet it stands for another")
        accepted = [submitted.member for submitted in answers if submitted.outcome in _KNOWN]
        if accepted:
            self._look([*self._seen, *accepted])

    def take(self, *, jobs: int = 10, start: bool = False) -> list[Lease]:
        """Claim, and begin the forward pass if asked to."""
        leases = self._attempt(lambda: self.cell.take(jobs=jobs)) or []
        for lease in leases:
            require(lease not in self._leases, f"{lease} was handed out twice")
            self._leases.add(lease)
            job = self._seen.get(lease.member)
            is_paused = job is not None and group_of(job.job.ref, job.job.tier) in self._paused
            require(not is_paused, f"{lease} was handed out of a queue that is paused")
        if start:
            self.start(leases)
        return leases

    def start(self, leases: Sequence[Lease]) -> None:
        """Begin a forward pass."""
        started = self._attempt(lambda: self.cell.run(self.cell.store.start(leases))) or []
        for lease, is_ours in zip(leases, started, strict=bool(started)):
            require(not is_ours or lease not in self._lost, f"{lease} had been taken away, yet it started")

    def progress(self, leases: Sequence[Lease], fraction: float = 0.5) -> None:
        """Say how far passes are."""
        said = [PassProgress(lease, fraction, "halfway") for lease in leases]
        noted = self._attempt(lambda: self.cell.run(self.cell.store.progress(said))) or []
        for lease, is_noted in zip(leases, noted, strict=bool(noted)):
            require(not is_noted or lease not in self._lost, f"{lease} had been taken away, yet its progress counted")

    def renew(self, leases: Sequence[Lease]) -> None:
        """Renew leases."""
        self._attempt(lambda: self.cell.run(self.cell.store.renew(leases, lease_ms=60_000)))

    def commit(self, leases: Sequence[Lease], *, body: bytes = b'"done"', cause: Cause | None = None) -> None:
        """Commit a batch that succeeded, or with a cause failed."""
        answers = self._settle(leases, lambda: self.cell.commit(leases, body=body, cause=cause))
        for lease, answer in zip(leases, answers, strict=bool(answers)):
            if answer is CommitAnswer.KEPT and lease.member in self._seen:
                require(self._seen[lease.member].output == body, f"the result of {lease.member} is another's")

    def fail(self, leases: Sequence[Lease], *, backoff_ms: int = 0, outgrown_bytes: int = 0) -> None:
        """End attempts without a result."""
        self._settle(leases, lambda: self.cell.fail(leases, backoff_ms=backoff_ms, outgrown_bytes=outgrown_bytes))

    def release(
        self, leases: Sequence[Lease], *, reason: Reason | None = None, outgrown_bytes: int = 0, kept: bytes = b""
    ) -> None:
        """Give jobs back, each with how far its pass is."""
        rows = dict.fromkeys(leases, kept)
        release = self.cell.store.release(leases, reason=reason, outgrown_bytes=outgrown_bytes, kept=rows)
        self._attempt(lambda: self.cell.run(release))

    def cancel(self, member: str) -> None:
        """Cancel a job."""
        self._attempt(lambda: self.cell.cancel(member))

    def erase(self, member: str) -> None:
        """Delete what a job holds: from now on it may be gone, and what is left of it may be without its output."""
        self._erased.add(member)
        is_over = self._attempt(lambda: self.cell.run(self.cell.store.erase(member, result_ttl_s=TTL_S)))
        if is_over and member in self._seen:
            status = self._seen[member].job.status
            require(status.is_terminal or status is JobStatus.CANCELING, f"{member} was erased, yet it could still run")

    def amend(self, member: str, change: Amendment) -> None:
        """Change a job that waits."""
        if job := self.cell.run(self.cell.store.read(member)):
            self._attempt(lambda: self.cell.run(self.cell.store.amend(job, change, cap=1000)))

    def hasten(self) -> None:
        """Move every spot job that waits and has a deadline."""
        self._attempt(lambda: self.cell.hasten(needs_ms=10**9))

    def pause(self, queue: str) -> None:
        """Pause a queue; from a yes on nobody claims from it."""
        if self._attempt(lambda: self.cell.pause(queue)) is not None:
            self._paused.add(queue)

    def resume(self, queue: str) -> None:
        """Let workers claim again; from then on those who wait at its bells are awake."""
        was_paused = self._is_paused(queue)
        bells = [self.cell.keys.bell(group) for group in ALL_GROUPS if queue_of(group) == queue and self._waits(group)]
        before = [self.cell.redis.xrevrange(bell, count=1) for bell in bells]
        self._attempt(lambda: self.cell.resume(queue))
        self._paused.discard(queue)
        after = [self.cell.redis.xrevrange(bell, count=1) for bell in bells]
        have_rung = all(old != new for old, new in zip(before, after, strict=True))
        require(have_rung or not was_paused or self._is_paused(queue), f"{queue} goes on, and nobody is told")

    def _is_paused(self, queue: str) -> bool:
        return bool(self.cell.redis.hexists(self.cell.keys.paused, queue))

    def _waits(self, group: str) -> bool:
        return bool(self.cell.redis.exists(self.cell.keys.turn(group)))

    def reap(self) -> None:
        """Let all leases run out and reap."""
        self.cell.lapse_leases()
        self._attempt(self.cell.reap)

    def promote(self) -> None:
        """Let all delays run out and promote."""
        self.cell.lapse_delays()
        self._attempt(lambda: self.cell.run(self.cell.store.promote(limit=100)))

    def expire(self, *members: str) -> None:
        """Let deadlines pass and expire."""
        waiting = [
            member for member in members if member in self._seen and not self._seen[member].job.status.is_terminal
        ]
        self.cell.pass_deadlines(*waiting)
        self._attempt(self.cell.expire)

    def sweep(self) -> None:
        """Sweep every tenant."""
        for tenant in self.cell.run(self.cell.store.tenants()):
            self._attempt(partial(self.cell.sweep, tenant))

    def forget(self) -> None:
        """Forget what has ended and was told; whatever else goes missing is a broken promise."""
        ended = [member for member, seen in self._seen.items() if seen.job.status.is_terminal]
        self._forgettable = {member for member in ended if self._is_told(self._seen[member].job)}
        for tenant in self.cell.run(self.cell.store.tenants()):
            self._attempt(partial(self.cell.forget, tenant))

    def claim_deliveries(self) -> list[DueDelivery]:
        """Let all deliveries be due and lease them, as a courier does."""
        self.cell.lapse_deliveries()
        due = self._attempt(self.cell.claim_deliveries) or []
        for delivery in due:
            is_end = delivery.earlier is None
            require(not is_end or delivery.job.status.is_terminal, f"the end of {delivery.id} was told before it came")
            require(is_end == (delivery.id == _end_of(delivery.job)), f"{delivery.id} is told under another's number")
            is_over = delivery.id in self._told - self._replayed
            require(not is_over, f"{delivery.id} was over, yet it goes out again")
        return due

    def settle(self, due: Sequence[DueDelivery], state: DeliveryState) -> None:
        """Note what came of deliveries."""
        kept = self._attempt(lambda: self.cell.settle(due, state)) or []
        for delivery, is_kept in zip(due, kept, strict=bool(kept)):
            require(not is_kept or delivery not in self._given_back, f"{delivery.id} was given back, yet settled")
        if state is not DeliveryState.PENDING:
            self._told |= {delivery.id for delivery, is_kept in zip(due, kept, strict=bool(kept)) if is_kept}

    def replay(self) -> None:
        """Ask for every end to be told again; those that have come already may go out once more."""
        deliveries = [each for seen in self._seen.values() for each in _events_of(seen.job)]
        self._replayed |= set(deliveries)
        self._attempt(lambda: self.cell.run(self.cell.deliveries.replay(deliveries, result_ttl_s=60)))

    def give_back(self, due: Sequence[DueDelivery]) -> None:
        """Say that deliveries were not attempted; whoever says so holds them no more."""
        noted = self._attempt(lambda: self.cell.give_back(due)) or []
        for delivery, is_noted in zip(due, noted, strict=bool(noted)):
            if is_noted:
                require(delivery not in self._given_back, f"{delivery.id} was given back twice under one fence")
                self._given_back.append(delivery)

    def rotate_secret(self) -> None:
        """Replace the secret that signs."""
        self._attempt(lambda: self.cell.run(self.cell.deliveries.secrets("default", keep_old_s=60)))

    def note_health(self) -> None:
        """A courier notes that a registered receiver wants no more."""
        endpoints = EndpointStore(self.cell.keys)
        self.cell.redis.hset(self.cell.keys.endpoints("default"), "ep_1", "{}")
        gone = Health(failing_since_ms=1, stopped=Stop.GONE)
        seen = self.cell.run(endpoints.noted("default", "ep_1"))
        self._attempt(lambda: self.cell.run(endpoints.note_after("default", "ep_1", seen, gone)))
        noted = self.cell.run(endpoints.health("default", "ep_1"))
        require(noted == gone or self.was_stopped, "what a courier noted is not there")

    def ask(self) -> None:
        """Count a request of the tenant."""
        buckets = [Bucket("default", Rate(per_s=1, burst=2)), Bucket("default:0123456789ab", Rate(per_s=1, burst=1))]
        take = TenantStore(self.cell.keys).take(buckets)
        self._attempt(lambda: self.cell.run(take))

    def tidy(self) -> None:
        """Set apart what lies at shared keys and is not of their type."""
        suspects = typed_keys(self.cell.keys, groups=GROUPS, tenants=["default"], workers=())
        self._attempt(lambda: self.cell.run(set_keys_apart(self.cell.keys, suspects)))

    def drain(self) -> None:
        """Let time pass and serve everybody until each accepted job has ended; then look for what is left behind."""
        for queue in self.cell.run(self.cell.queues.paused()):
            self.resume(queue)
        for _ in range(_MAX_ROUNDS):
            self._look_after()
            self.commit(self.take(start=True), body=b'"drained"')
            if all(seen.job.status.is_terminal for seen in self._seen.values()):
                break
        waiting = [member for member, seen in self._seen.items() if not seen.job.status.is_terminal]
        require(not waiting, f"never ended: {waiting}")
        self._look_after()
        self.settle(self.claim_deliveries(), DeliveryState.DELIVERED)
        self._look_at_usage()
        left = _leftovers(self.cell)
        require(not left, f"left behind: {left}")

    def _look_after(self) -> None:
        self.sweep()
        self.reap()
        self.promote()
        self.expire()

    # --- checks ------------------------------------------------------------------------------------------------

    def _attempt(self, act: Callable[[], T]) -> T | None:
        try:
            answer = act()
        except redis.ResponseError as error:
            if INJECTED not in str(error):
                raise
            answer, self.was_stopped = None, True
        self._look(list(self._seen))
        return answer

    def _settle(self, leases: Sequence[Lease], act: Callable[[], list[CommitAnswer]]) -> list[CommitAnswer]:
        before, unsettled = self._seen, self._doubtful
        self._doubtful = unsettled | set(leases) - self._lost
        answers = self._attempt(act)
        if answers is None:
            return []
        self._doubtful = unsettled
        for lease, answer in zip(leases, answers, strict=True):
            self._check_answer(before, lease, answer)
        return answers

    def _check_answer(self, before: dict[str, Seen], lease: Lease, answer: CommitAnswer) -> None:
        if lease.member not in before:
            return  # never accepted, so nothing was promised
        job = before[lease.member].job
        if answer is CommitAnswer.REFUSED:
            held = job.fence == lease.fence and job.worker and job.status in (JobStatus.QUEUED, JobStatus.RUNNING)
            require(not held, f"{lease} was held, yet its result was refused")
            return
        require(lease not in self._lost, f"{lease} had been taken away, yet the answer was {answer.name}")
        if answer is CommitAnswer.KEPT:
            require(lease not in self._settled, f"{lease} was settled twice")
            require(not job.status.is_terminal, f"{job.member} had ended, yet a result was kept")
            require(lease.fence == job.fence, f"{job.member} was another's, yet the result of {lease} was kept")
            self._settled.add(lease)

    def _look(self, members: Sequence[str]) -> None:
        before = self._seen
        self._known |= {member: seen.job for member, seen in before.items()}
        self._seen = self._see(members)
        for member, seen in self._seen.items():
            job = seen.job
            if member in before:
                self._compare(before[member], seen)
            require(job.attempts <= most_attempts(job), f"{member} had {job.attempts} of {job.max_attempts} attempts")
            require(seen.is_led_to or self._is_erased(seen.job), f"nothing leads to {member}, which is {job.status}")
        self._look_for_untold()
        for lease in self._leases - self._settled - self._lost:
            if lease.member in self._seen and self._is_lost(lease, self._seen[lease.member].job):
                self._lost.add(lease)

    def _look_at_usage(self) -> None:
        """Once all jobs have ended."""
        keys = self.cell.keys
        tenants = self.cell.run(self.cell.store.tenants())
        # Also jobs of which nobody was told, since the script stopped that made them.
        found = set().union(*self.cell.run_all([_range(keys.index(tenant)) for tenant in tenants]))
        had, jobs = usage_totals(self.cell), len(found | self._known.keys() | self._seen.keys())
        ends = sum(had[status] for status in JobStatus if status.is_terminal)
        require(had["accepted"] <= jobs and ends <= jobs, f"{jobs} jobs were counted as {had}")
        if not self.was_stopped:
            kept = Counter(seen.job.status for seen in self._seen.values())
            require(had["accepted"] == ends == jobs, f"{jobs} jobs were counted as {had}")
            require(all(had[status] >= count for status, count in kept.items()), f"{kept} were counted as {had}")

    def _look_for_untold(self) -> None:
        jobs = [seen.job for seen in self._seen.values() if seen.job.has_webhook]
        deliveries = [each for job in jobs for each in _events_of(job)[: None if job.status.is_terminal else -1]]
        states = [_state_of(self.cell.keys.delivery(delivery)) for delivery in deliveries]
        outbox, *settled = self.cell.run_all([_range(self.cell.keys.outbox), *states])
        for delivery, state in zip(deliveries, settled, strict=True):
            require(delivery in outbox or state in ("delivered", "failed"), f"{delivery} will never be told")

    def _is_lost(self, lease: Lease, job: Job) -> bool:
        if lease in self._doubtful:
            return job.fence != lease.fence
        return job.fence != lease.fence or job.worker is None or job.status.is_terminal

    def _compare(self, before: Seen, after: Seen) -> None:
        old, new = before.job, after.job
        if old.status.is_terminal:
            is_same = before.job == after.job and (before.output == after.output or old.member in self._erased)
            require(is_same, f"{old.member} had ended and was changed: {before} -> {after}")
        if old.status is not new.status:
            require(new.status in TRANSITIONS[old.status], f"{old.member} went from {old.status} to {new.status}")
            self.moves.add((old.status, new.status))
        require(old.fence <= new.fence, f"the fence of {old.member} fell")

    def _may_be_gone(self, member: str) -> bool:
        if member not in self._erased or member not in self._known:
            return member in self._forgettable
        return self._is_told(self._known[member]) or member in self._forgettable

    def _is_told(self, job: Job) -> bool:
        """Nobody is to be told of its end any more."""
        return not job.has_webhook or _end_of(job) in self._told

    def _is_erased(self, job: Job) -> bool:
        return job.member in self._erased and job.status.is_terminal

    def _see(self, members: Sequence[str]) -> dict[str, Seen]:
        """Everything about all jobs in one round trip."""
        store, keys = self.cell.store, self.cell.keys
        tenants = sorted({member.partition("/")[0] for member in members})
        queues = [(group, tenant) for group in ALL_GROUPS for tenant in tenants]
        ops: list[RedisOp[Any]] = [store.read(member) for member in members]
        ops += [store.output(member) for member in members]
        ops += [_range(keys.leases), _range(keys.delayed), *(_range(keys.turn(group)) for group in ALL_GROUPS)]
        ops += [_range(keys.ready(group, tenant)) for group, tenant in queues]
        answers = self.cell.run_all(ops)

        count = len(members)
        jobs, outputs, (leases, delayed, *rest) = answers[:count], answers[count : 2 * count], answers[2 * count :]
        turns = dict(zip(ALL_GROUPS, rest, strict=False))
        heads = zip(queues, rest[len(ALL_GROUPS) :], strict=True)
        waiting = {m for (group, tenant), ready in heads if tenant in turns[group] for m in ready} | delayed
        for member, job in zip(members, jobs, strict=True):
            require(job or self._may_be_gone(member), f"{member} was accepted and is gone")
        return {
            job.member: Seen(job, output, _is_led_to(job, output, waiting, leases))
            for job, output in zip(jobs, outputs, strict=True)
            if job is not None
        }


def _stands_for(job: NewJob, twin: Job) -> bool:
    has_succeeded = twin.status is JobStatus.SUCCEEDED
    return job.dedupe_scope.covers(is_over=twin.status.is_terminal, has_succeeded=has_succeeded)


def _range(key: str) -> RedisOp[set[str]]:
    return RedisOp(lambda reply: {entry.decode() for entry in reply}, ("ZRANGE", key, 0, -1))


def _state_of(key: str) -> RedisOp[str]:
    return RedisOp(lambda reply: (reply or b"").decode(), ("HGET", key, "s"))


def _is_led_to(job: Job, output: bytes | None, waiting: set[str], leases: set[str]) -> bool:
    assert group_of(job.ref, job.tier) in ALL_GROUPS
    if job.status in (JobStatus.SUCCEEDED, JobStatus.FAILED):
        return output is not None
    if job.status.is_terminal:
        return output is None
    is_leased = job.worker is not None and str(Lease(job.member, job.fence)) in leases
    return is_leased or (job.status is JobStatus.QUEUED and job.member in waiting)


def _end_of(job: Job) -> str:
    return delivery_id_of(job.member, job.next_seq)


def _events_of(job: Job) -> list[str]:
    """What was told of it, its end last."""
    return [delivery_id_of(job.member, seq) for seq in range(1, job.next_seq + 1)]


def _leftovers(cell: Cell) -> list[str]:
    """Entries and inputs that no job needs any more; inputs of failed jobs are meant to stay for a while."""
    keys = cell.keys
    families = [keys.leases, keys.delayed, keys.deadlines, keys.outbox, *(f"{keys.prefix}{kind}:*" for kind in "rtc")]
    left = [key.decode() for family in families for key in cell.redis.scan_iter(family, count=10_000)]
    fading = [key for kind in "ihd" for key in cell.redis.scan_iter(f"{keys.prefix}{kind}:*", count=10_000)]
    return left + [key.decode() for key in fading if cell.redis.ttl(key) == -1]
