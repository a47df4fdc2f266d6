"""JobEngine: the story of a job in the parent: bell -> claim -> child -> start -> commit.

Runs on Celery's event loop but knows nothing of Celery. It outlives Celery's reconnects: `attach` is called with each
new loop, and results that got no answer are committed again. It contains no policy; each decision is made by one of
the parts it names.
"""

import logging
import os
import socket
import time
from dataclasses import dataclass

import redis

from headrace.jobs import Cause, JobStatus, error_document
from headrace.keys import Keys, group_of
from headrace.model_ref import ModelRef
from headrace.presence import WorkerPresence, WorkerState
from headrace.settings import Settings, WorkerClass
from headrace.store import ClaimedJob, JobStore, Outcome
from workers.backoff import Backoff
from workers.bell import Bell
from workers.catalog import Catalog
from workers.claim_policy import ClaimPlan, ClaimPolicy
from workers.claimer import Claimer, ClaimTerms
from workers.committer import Committer
from workers.executor import Executor, ExecutorLimits
from workers.forward_clock import ForwardClock
from workers.held_jobs import HeldJob, HeldJobs
from workers.keeper import Keeper, KeeperSources
from workers.loop import Loop, SelectorLoop, Timer
from workers.served_models import ServedModels
from workers.view import JobView
from workers.wire import Wire

log = logging.getLogger("headrace.engine")

_TICK_S = 0.5
#: A pass shorter than this is committed without having been told to be running: one script less.
_START_DELAY_S = 0.002
#: Children that may die with a job in their pass before the job is given up.
_CRASHES = 2
#: How long an answer from Redis may be due; the bell's wait comes on top.
_ANSWER_LIMIT_S = 10.0
_FLUSH_S = 5.0


@dataclass(frozen=True, kw_only=True)
class WorkerIdentity:
    """Who this worker is."""

    #: At most 64 bytes, so that records stay compact.
    id: str
    class_name: str
    worker_class: WorkerClass


class JobEngine:
    """One per worker process.

    Args:
        settings: of this process.
        identity: of this worker.
        view: told what happens to the jobs.
    """

    def __init__(self, *, settings: Settings, identity: WorkerIdentity, view: JobView) -> None:
        self._settings = settings
        self._identity = identity
        self._view = view
        self._store = JobStore(Keys(cell=settings.cell))
        self._held = HeldJobs()
        self._models = ServedModels()
        self._clock = ForwardClock()
        self._policy = ClaimPolicy(lead_s=settings.claim_lead_ms / 1000)
        self._reconnects = Backoff(first_s=0.05, most_s=2.0)
        self._loop: Loop | None = None
        self._start_timer: Timer | None = None
        self._state = WorkerState.STARTING
        self._started_ms = time.time_ns() // 1_000_000
        self._ticked_at = time.monotonic()
        self._reconnecting = False
        self.jobs_done = 0
        self.batches = 0
        self._wire_up()

    def _wire_up(self) -> None:
        settings, store = self._settings, self._store
        self.wire = Wire(url=settings.redis_url, on_lost=self._commands_lost)
        self._bell_wire = Wire(url=settings.redis_url, on_lost=self._bell_lost)
        self._bell = Bell(
            wire=self._bell_wire, keys=store.keys, worker=self._identity.id, on_ring=lambda: self._claimer.look()
        )
        terms = ClaimTerms(worker=self._identity.id, max_bytes=settings.claim_max_bytes, lease_ms=settings.lease_ms)
        self._claimer = Claimer(
            wire=self.wire, bell=self._bell, store=store, terms=terms, plan=self._plan, on_jobs=self._take
        )
        self._committer = Committer(wire=self.wire, store=store, result_ttl_s=settings.result_ttl_s)
        self._executor = self._make_executor()
        self._keeper = Keeper(
            url=settings.redis_url,
            store=store,
            lease_ms=settings.lease_ms,
            sources=KeeperSources(leases=self._held.leases, presence=self.presence, loop_is_alive=self._loop_is_alive),
        )
        self._catalog = Catalog(
            url=settings.redis_url,
            registry_url=settings.registry_location,
            store=store,
            patterns=self._identity.worker_class.models,
            poll_s=settings.registry_poll_s,
        )

    def _make_executor(self) -> Executor:
        settings, worker_class = self._settings, self._identity.worker_class
        return Executor(
            arguments=(settings.registry_location, str(settings.model_cache_dir), worker_class.device),
            limits=ExecutorLimits(
                forward_s=settings.forward_limit_s, load_s=settings.load_limit_s, threads=worker_class.threads
            ),
            listener=self,
        )

    # --- life

    def start(self) -> None:
        """Start the child and the threads; once."""
        self._executor.spawn()
        self._catalog.start()
        self._keeper.start()
        self._keeper.speak()

    def attach(self, loop: Loop) -> None:
        """Go on with this loop; called again after each of Celery's reconnects."""
        self._loop = loop
        self._reconnecting = False
        self._start_timer = None
        for part in (self._executor, self._claimer, self._committer, self.wire, self._bell_wire):
            part.attach(loop)
        self._connect()
        self._tick()

    def _tick(self) -> None:
        now = self._ticked_at = time.monotonic()
        self._executor.check(now)
        self.wire.check(limit_s=_ANSWER_LIMIT_S)
        self._bell_wire.check(limit_s=2 * _ANSWER_LIMIT_S)
        self._models.want(self._catalog.wanted)
        self._load_due(now)
        self._claimer.look()
        if self._loop is not None:
            self._loop.call_later(_TICK_S, self._tick)

    def _loop_is_alive(self) -> bool:
        return time.monotonic() - self._ticked_at < self._settings.lease_ms / 1000

    def presence(self) -> WorkerPresence:
        """What this worker says of itself."""
        return WorkerPresence(
            id=self._identity.id,
            worker_class=self._identity.class_name,
            host=socket.gethostname(),
            pid=os.getpid(),
            child_pid=self._executor.pid,
            device=self._identity.worker_class.device,
            tiers=self._identity.worker_class.tiers,
            state=self._state,
            models=self._models.presence(),
            started_ms=self._started_ms,
            jobs_done=self.jobs_done,
            jobs_held=len(self._held),
            batches=self.batches,
            forward_ms=round(self._clock.longest_s * 1000, 3),
        )

    # --- connection

    def _connect(self) -> None:
        self._reconnecting = False
        try:
            if not self._bell_wire.is_open:
                self._bell_wire.connect()
            if not self.wire.is_open:
                self.wire.connect()
                self._committer.resend()
        except (redis.RedisError, OSError) as error:
            return self._reconnect(error)
        self._reconnects.reset()
        return self._claimer.look()

    def _commands_lost(self, error: Exception) -> None:
        self._claimer.lost()
        self._reconnect(error)

    def _bell_lost(self, error: Exception) -> None:
        self._bell.lost()
        self._reconnect(error)

    def _reconnect(self, error: Exception) -> None:
        if self._reconnecting or self._loop is None:
            return
        self._reconnecting = True
        pause_s = self._reconnects.next_s()
        log.warning("no connection to the queue (%s); next try in %.2f s", error, pause_s)
        self._loop.call_later(pause_s, self._connect)

    # --- claim

    def _plan(self) -> ClaimPlan:
        ends_at = self._clock.ends_at if self._held.running else None
        max_batch = max(self._models.ready().values(), default=0)
        return self._policy.plan(staged=self._held.staged, max_batch=max_batch, ends_at=ends_at, now=time.monotonic())

    def _take(self, claimed: list[tuple[ClaimedJob, str]]) -> None:
        held = [self._held.add(job, ref=group.rpartition(":")[0], group=group) for job, group in claimed]
        if held:
            self._send(held)
            self._view.received(held)
        self._claimer.look()

    def _send(self, jobs: list[HeldJob], *, alone: bool = False) -> None:
        by_ref: dict[str, list[tuple[int, bytes]]] = {}
        for held in jobs:
            by_ref.setdefault(held.ref, []).append((held.slot, held.job.input))
        for ref, rows in by_ref.items():
            if self._models.is_ready(ref):
                self._executor.send(ref, rows, alone=alone)

    # --- what the child says

    def batch_started(self, ref: str, slots: list[int]) -> None:
        """A forward pass begins: say so in the records if it lasts, and plan the next claim."""
        self._clock.started(ref, now=time.monotonic())
        jobs = self._held.start(slots)
        if self._loop is not None:
            self._start_timer = self._loop.call_later(_START_DELAY_S, lambda: self._tell_start(jobs))
        self._view.started(jobs)
        self._claimer.look()

    def _tell_start(self, jobs: list[HeldJob]) -> None:
        self._start_timer = None
        self.wire.send(self._store.start([held.job.lease for held in jobs]), lambda _: None, self._start_failed)

    def _start_failed(self, error: Exception) -> None:
        # The commit makes up for it.
        log.warning("the start of a batch was not recorded: %s", error)

    def batch_done(self, slots: list[int], results: list[tuple[bool, str, bytes]], took_s: float) -> None:
        """A forward pass ended: commit it."""
        if self._start_timer is not None:
            self._start_timer.cancel()
            self._start_timer = None
        jobs, outcomes, errors = [], [], []
        for slot, (ok, cause, body) in zip(slots, results, strict=True):
            held = self._held.remove(slot)
            if held is not None:
                jobs.append(held)
                status = JobStatus.SUCCEEDED if ok else JobStatus.FAILED
                outcomes.append(Outcome(held.job.lease, status, Cause(cause) if cause else None, body))
                errors.append(None if ok else body.decode())
        if jobs:
            self._clock.ended(jobs[0].ref, took_s=took_s)
            self.jobs_done += len(jobs)
            self.batches += 1
            self._committer.commit(outcomes, took_s=took_s)
            self._view.ended(jobs, errors, took_s)
        self._claimer.look()

    def child_ready(self) -> None:
        """A new child: let it load everything."""
        self._state = WorkerState.READY if self._state is WorkerState.STARTING else self._state
        self._load_due(time.monotonic())

    def _load_due(self, now: float) -> None:
        if not self._executor.is_ready:
            return
        for ref in self._models.due(now):
            self._executor.load(ref)
            self._keeper.speak()

    def model_loaded(self, ref: str, max_batch: int) -> None:
        """A version can run: send it what waits here, and claim for it."""
        self._models.loaded(ref, max_batch)
        waiting = [held for held in self._held.all() if held.ref == ref]
        self._send([held for held in waiting if not held.crashes])
        self._send([held for held in waiting if held.crashes], alone=True)
        self._serve_ready()

    def model_refused(self, ref: str, error: str) -> None:
        """A version cannot run here: give back what waits for it."""
        log.error("%s cannot be loaded: %s", ref, error)
        self._models.refused(ref, error, time.monotonic())
        self._give_back([held for held in self._held.all() if held.ref == ref])
        self._serve_ready()

    def _serve_ready(self) -> None:
        refs = self._models.ready()
        tiers = self._identity.worker_class.tiers
        self._claimer.serve(tuple(group_of(ModelRef.parse(ref), tier) for ref in refs for tier in tiers))
        self._keeper.speak()
        self._claimer.look()

    def child_died(self, suspects: list[int], cause: str, loading: str | None) -> None:
        """The child is gone: under the same leases suspects run alone in the next, and a job that killed twice fails."""
        self._clock.forget_running()
        self._held.stop_running()
        self._models.child_lost()
        if loading is not None:
            self._models.refused(loading, f"its process died while loading it ({cause})", time.monotonic())
        for slot in suspects:
            held = self._held.get(slot)
            if held is not None:
                held.crashes += 1
                if held.crashes >= _CRASHES and len(suspects) == 1:
                    self._give_up(held, cause)
        self._serve_ready()

    def _give_up(self, held: HeldJob, cause: str) -> None:
        timed_out = cause == "timeout"
        why = Cause.TIMEOUT if timed_out else Cause.WORKER_LOST
        detail = (
            f"its forward pass took longer than {self._settings.forward_limit_s:g} s, also alone"
            if timed_out
            else f"its forward pass killed the model's process twice ({cause})"
        )
        self._held.remove(held.slot)
        outcome = Outcome(held.job.lease, JobStatus.FAILED, why, error_document(why, detail))
        self._committer.commit([outcome], took_s=0.0)
        self._view.ended([held], [detail], 0.0)

    # --- the end

    def _give_back(self, jobs: list[HeldJob]) -> None:
        for held in jobs:
            self._held.remove(held.slot)
        if jobs:
            op = self._store.release([held.job.lease for held in jobs])
            self.wire.send(op, lambda count: log.info("%s jobs given back", count), self._give_back_failed)
            self._view.dropped(jobs)

    def _give_back_failed(self, error: Exception) -> None:
        # Their leases run out, and they come back without us.
        log.warning("jobs could not be given back: %s", error)

    def stop(self) -> None:
        """Stop in order: claim no more, give back what has not begun, finish what runs, commit, end the child."""
        self._state = WorkerState.DRAINING
        self._keeper.speak()
        self._claimer.stop()
        loop = SelectorLoop()
        self.attach(loop)
        loop.run_until(lambda: not self._claimer.is_claiming, limit_s=_FLUSH_S)
        self._executor.finish()
        self._give_back([held for held in self._held.all() if not held.running])
        loop.run_until(lambda: not self._held.running, limit_s=self._settings.shutdown_grace_s)
        self._give_back(self._held.all())
        loop.run_until(lambda: self._committer.is_empty and not self.wire.is_waiting, limit_s=_FLUSH_S)
        self._catalog.stop()
        self._keeper.stop()
        self._executor.close()
        self.wire.close()
        self._bell_wire.close()
        loop.close()
