"""JobEngine: everything that moves jobs in a worker's parent process, put together and kept going.

The story of a job is `job_path`; this is the machine around it. Runs on Celery's event loop but knows nothing of
Celery, and outlives Celery's reconnects: `attach` is called with each new loop, and results that got no answer are
committed again.
"""

import logging
import math
import time
from collections.abc import Collection, Iterable

from headrace import worker_fit
from headrace.failpoints import failpoint
from headrace.homes import Division
from headrace.keys import Keys
from headrace.metric_targets import MetricTarget
from headrace.metrics_port import MetricsPort
from headrace.presence import WorkerPresence
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.store_work import ClaimedJob
from workers.backlog_look import BacklogLook
from workers.bell import Bell
from workers.catalog import Catalog
from workers.child_process import ChildProcess
from workers.children import Children
from workers.claim_policy import ClaimPolicy
from workers.claimer import Claimer, ClaimTerms, Sent
from workers.committer import Committer
from workers.cost_states import CostStates
from workers.engine_parts import executor_maker, passing_on_of, residency_of
from workers.grace import Grace
from workers.home_look import HomeLook
from workers.identity import WorkerIdentity
from workers.job_path import JobPath
from workers.keeper import Keeper, KeeperSources
from workers.links import Links
from workers.loop import Loop, SelectorLoop
from workers.metrics import WorkerCollector, WorkerFigures, render_of
from workers.move_log import MoveLog
from workers.nested_loop import NestedLoop
from workers.offer import Offer
from workers.path_parts import PathParts
from workers.self_report import SelfReport
from workers.separation import Separation
from workers.view import JobView
from workers.wire import Wire

log = logging.getLogger("headrace.engine")

_TICK_S = 0.5
_FIRST_TICK_S = 0.05
_FLUSH_S = 5.0
#: In this time a message to the child, and its answer, have arrived.
_HEARD_S = 0.3


class JobEngine:
    """One per worker process.

    Args:
        settings: of this process.
        identity: of this worker.
        view: told what happens to the jobs.
        ahead: a child that was started ahead; None if the first one is still to be started.
    """

    def __init__(
        self, *, settings: Settings, identity: WorkerIdentity, view: JobView, ahead: ChildProcess | None = None
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._store = JobStore(Keys(cell=settings.cell))
        self._loop: NestedLoop | None = None
        self._view = view
        self._is_draining = False
        self._grace = Grace(most_s=settings.shutdown_grace_s)
        #: What jobs are claimed for: by its class, and now; `make_offer` changes that.
        self.offer = self.own_offer = Offer(names=tuple(identity.worker_class.models))
        self._ticked_at = time.monotonic()
        self._links = Links(
            url=settings.redis_url,
            lease_ms=settings.lease_ms,
            on_lost=self._link_lost,
            on_open=self._links_open,
        )
        self._children = Children(make=executor_maker(settings, identity.worker_class, ahead), separation=Separation())
        self._committer = Committer(wire=self.wire, store=self._store, result_ttl_s=settings.result_ttl_s)
        self._path = self._make_path(view)
        self._report = SelfReport(identity=identity, path=self._path, children=self._children)
        self._look = BacklogLook(wire=self.wire, store=self._store, residency=self._path.residency)
        self._homes = HomeLook(
            wire=self.wire,
            keys=self._store.keys,
            worker_class=identity.class_name,
            is_alone=len(settings.worker_classes) < 2,
            on_change=self._models_changed,
        )
        self._bell = Bell(
            wire=self._links.bell, keys=self._store.keys, worker=identity.id, on_ring=lambda: self._claimer.look()
        )
        self._claimer = self._make_claimer()
        self._catalog = self._make_catalog()
        self._keeper = self._make_keeper()
        self._metrics = self._make_metrics()

    @property
    def wire(self) -> Wire:
        """The connection for commands."""
        return self._links.commands

    def _make_path(self, view: JobView) -> JobPath:
        costs = CostStates(
            wire=self.wire,
            keys=self._store.keys,
            worker_class=self._identity.class_name,
            on_answer=lambda: self._path.loads.want(self._catalog.wanted),
        )
        parts = PathParts(
            wire=self.wire,
            store=self._store,
            children=self._children,
            committer=self._committer,
            policy=ClaimPolicy(lead_s=self._settings.claim_lead_ms / 1000, most_bytes=self._settings.claim_max_bytes),
            residency=residency_of(self._identity.worker_class),
            costs=costs,
            passing_on=passing_on_of(
                self._settings,
                self._identity.worker_class,
                wire=self.wire,
                store=self._store,
                needs_of=lambda ref: self._catalog.needs.get(ref, worker_fit.NOTHING),
            ),
            moves=MoveLog(wire=self.wire, keys=self._store.keys, worker=self._identity.id),
            view=view,
            most_kept_bytes=self._settings.checkpoint_max_bytes,
            progress_interval_s=self._settings.progress_interval_s,
        )
        return JobPath(parts=parts, on_room=lambda: self._look_again(), on_models=self._models_changed)

    def _make_claimer(self) -> Claimer:
        terms = ClaimTerms(worker=self._identity.id, lease_ms=self._settings.lease_ms)
        return Claimer(
            wire=self.wire,
            bell=self._bell,
            store=self._store,
            terms=terms,
            plan=self._path.plan,
            on_jobs=self._take,
        )

    def _make_catalog(self) -> Catalog:
        return Catalog(
            url=self._settings.redis_url,
            registry_url=self._settings.registry_location,
            store=self._store,
            serves=lambda name: self.offer.serves(name),
            poll_s=self._settings.registry_poll_s,
            kind=self._identity.worker_class,
        )

    def _make_keeper(self) -> Keeper:
        sources = KeeperSources(
            leases=self._path.held.leases, presence=self.presence, loop_is_alive=self._loop_is_alive
        )
        return Keeper(
            url=self._settings.redis_url, store=self._store, lease_ms=self._settings.lease_ms, sources=sources
        )

    def _make_metrics(self) -> MetricsPort:
        target = MetricTarget("", "worker", self._identity.class_name, self._identity.node)
        return MetricsPort(settings=self._settings, target=target, render=render_of(WorkerCollector(self.figures)))

    # --- life

    def start(self) -> None:
        """Start the child and the threads; once."""
        self._children.spawn()
        self._catalog.start()
        self._keeper.start()
        self._keeper.speak()
        self._metrics.start()

    def attach(self, loop: Loop) -> None:
        """Go on with this loop; called again after each of Celery's reconnects."""
        self._detach()
        self._loop = NestedLoop(loop)
        for part in (self._children, self._path, self._claimer, self._committer, self._links):
            part.attach(self._loop)
        self._tick()

    def _detach(self) -> None:
        if self._loop is not None:
            self._loop.close()
            self._loop = None

    def _tick(self) -> None:
        self._ticked_at = time.monotonic()
        self._children.check(self._ticked_at)
        self._path.end_overdue(self._ticked_at)
        self._path.note_progress(self._ticked_at)
        self._fence()
        self._links.check()
        self._path.loads.expect(self._catalog.footprints, self._catalog.misfits)
        self._children.separation.declare(self._catalog.apart)
        self._path.loads.want(self._catalog.wanted)
        self._homes.look()
        self._look.look(self._divided(self._path.models.refs()).all)
        self._serve()
        self._claimer.look()
        self.show_jobs()
        if self._loop is not None:
            # A child that was ready before it is known what to load should not wait for the next regular look.
            self._loop.call_later(_TICK_S if self._catalog.has_looked else _FIRST_TICK_S, self._tick)

    def _fence(self) -> None:
        """Begin nothing under leases that are lost, nor, without word from Redis, under those that may be over."""
        lost, vouches = self._keeper.take_lost(), self._keeper.vouches(self._ticked_at)
        if lost or not vouches:
            self._path.let_go(lambda held: not vouches or str(held.job.lease) in lost)

    def _loop_is_alive(self) -> bool:
        return time.monotonic() - self._ticked_at < self._settings.lease_ms / 1000

    def _links_open(self, is_new: bool) -> None:
        if is_new:
            self._committer.resend()
            self._path.trial.resume()
        self._claimer.look()

    def _link_lost(self, wire: Wire) -> None:
        (self._claimer if wire is self.wire else self._bell).lost()

    def _models_changed(self) -> None:
        self._report.look()
        self._serve()
        self._keeper.speak()
        self._claimer.look()

    @property
    def child_pid(self) -> int | None:
        """Process id of the models' process, None between two."""
        return self._children.pid

    def _serve(self) -> None:
        """Claim for what is ready, stays, and has room for more."""
        path = self._path
        refs = path.models.ready().keys() - path.residency.leaving - path.crowded
        self._claimer.serve(*self._divided(sorted(refs)))

    def _divided(self, refs: Iterable[str]) -> Division:
        """What of these versions is claimed first, and what in spare time, given what is left to other classes."""
        return self._homes.manners.divide(self._groups(refs))

    def _groups(self, refs: Iterable[str]) -> tuple[str, ...]:
        """What jobs of these versions wait in that this worker may run, also those that smaller ones could not."""
        size_bytes = self._identity.worker_class.memory_bytes or math.inf
        groups = self.offer.groups(refs, self._identity.worker_class.tiers)
        smaller = [outgrown for outgrown in sorted(self._catalog.outgrown) if outgrown < size_bytes]
        return (*groups, *(f"{group}>{outgrown}" for group in groups for outgrown in smaller))

    def _take(self, claimed: list[tuple[ClaimedJob, str]], sent: Sent) -> None:
        self._path.take(claimed, sent)
        self._make_room()

    def _make_room(self) -> None:
        """Where versions run apart, one may be full while others are not."""
        if self._children.separation:
            self._serve()

    def _look_again(self) -> None:
        self._make_room()
        self._claimer.look()

    def presence(self) -> WorkerPresence:
        """What this worker says of itself."""
        found_ms, left = self._catalog.found_ms or 0, self._homes.manners.left
        return self._report.presence(self.offer, left=left, is_draining=self._is_draining, found_ms=found_ms)

    def figures(self) -> WorkerFigures:
        """What its metrics are made of; asked from a thread of theirs."""
        return WorkerFigures(
            presence=self.presence(),
            tally=self._path.tally,
            claims=self._claimer.claims,
            refused=self._committer.refused,
            resent=self._committer.resent,
            child_deaths=self._path.child_deaths,
            loop_age_s=time.monotonic() - self._ticked_at,
        )

    # --- remote control

    def show_jobs(self) -> None:
        """Let whoever looks at Celery's tables see what is held now."""
        self._view.show(self._path.held.all())

    def make_offer(self, offer: Offer) -> None:
        """Claim from now on what `offer` says; what is held already runs."""
        self.offer = offer
        self._models_changed()

    def drop(self, members: Collection[str]) -> None:
        """Let go of jobs that were canceled, unless they are in a forward pass."""
        gone = [held for held in self._path.held.all() if held.job.member in members and not held.running]
        for held in gone:
            self._path.held.remove(held.slot)
        self._children.drop([held.slot for held in gone])
        self._view.canceled(gone)

    def renew_child(self) -> None:
        """Replace each of the models' processes when its pass has ended; what it has not begun runs in the next."""
        # A pass that begins before the child hears of it must have been told by then.
        self._children.renew(time.monotonic() + _HEARD_S)

    # --- the end

    def hurry(self) -> None:
        """Do not wait for the running batch when stopping; may be called by a signal handler."""
        self._grace.hurry()

    def preempt(self, left_s: float) -> None:
        """In so many seconds the machine may be gone: to be followed by `stop`. May be called from any thread."""
        self._grace.notice(left_s, time.monotonic())

    def stop(self) -> None:
        """Stop in order: claim no more, give back what has not begun, finish what runs, commit, end the child."""
        if self._is_draining:
            return
        self._is_draining = True
        self._grace.begin(time.monotonic())
        self._keeper.speak()
        self._claimer.stop()
        path, loop = self._path, SelectorLoop()
        self.attach(loop)
        # A claim under way has leased its jobs already.
        loop.run_until(lambda: not self._claimer.is_claiming, limit_s=_FLUSH_S)
        self._children.finish()
        path.give_back([held for held in path.held.all() if not held.running], self._grace.reason)
        failpoint("worker.draining")
        loop.run_until(lambda: not path.held.running or self._is_grace_over(), limit_s=math.inf)
        self._keep_how_far(loop)
        path.give_back(path.held.all(), self._grace.reason)
        loop.run_until(lambda: self._committer.is_empty and not self.wire.is_waiting, limit_s=_FLUSH_S)
        self._view.show(())
        self._catalog.stop()
        self._metrics.close()
        self._keeper.stop()
        self._children.close()
        self._links.close()
        self._detach()
        loop.close()

    def _keep_how_far(self, loop: SelectorLoop) -> None:
        """Ask how far the jobs are whose pass does not end in time, as long as there is time to wait for the answer."""
        if self._path.held.running:
            self._children.checkpoint()
            loop.run_until(lambda: not self._children.is_asked, limit_s=self._grace.answer_s)

    def _is_grace_over(self) -> bool:
        running = self._path.clock.running
        return self._grace.is_over(time.monotonic(), running.ends_at if running else 0.0)
