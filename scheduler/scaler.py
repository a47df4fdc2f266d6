"""Scaler: observes, decides, and writes down how many workers there should be, with the reasons.

What it saw also says which jobs cannot wait for spot machines any longer; `hastener` moves them.
"""

import logging
import time
from collections.abc import Iterable, Iterator

from headrace.failpoints import failpoint
from headrace.scaling import ClassScaling, ScalingChange, ScalingReport
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from registry.registry import Registry
from scheduler.hastener import Hastener
from scheduler.leadership import Lead, Leadership
from scheduler.needs_book import NeedsBook
from scheduler.observation import ClassLoad, Observation, QueueLoad
from scheduler.observer import Observer
from scheduler.policy import ClassDecision, Decision, ScalingPolicy
from scheduler.spot_market import SpotMarket, cost_per_hour
from scheduler.wake import unserved

log = logging.getLogger("headrace.scaling")

#: For so many steps without a word, but no less than so long, workers leave to others what they were told to.
_TTL_STEPS, _LEAST_TTL_MS = 5, 5000


class Scaler:
    """Used by whoever leads; forgets what it remembered when the lead changes hands.

    Args:
        settings: of the system.
        connection: to its Redis.
        leadership: writes for the leader.
    """

    def __init__(self, *, settings: Settings, connection: SyncRedis, store: JobStore, leadership: Leadership) -> None:
        classes = settings.worker_classes
        self._classes = classes
        self._rule = settings.scaling_rule
        self._connection = connection
        self._leadership = leadership
        needs = NeedsBook(registry=Registry(url=settings.registry_location))
        self._observer = Observer(store=store, connection=connection, classes=classes, needs=needs.of)
        self._policy = ScalingPolicy(classes=classes, rule=settings.scaling_rule)
        self._market = SpotMarket(classes=classes)
        self._hastener = Hastener(classes=classes, store=store, connection=connection)
        self._manners_ttl_ms = max(_LEAST_TTL_MS, _TTL_STEPS * settings.scaling_interval_ms)
        self._fence = 0
        #: Groups that nobody will serve until somebody looks again.
        self.unserved: tuple[str, ...] = ()

    def step(self, lead: Lead, now: float) -> None:
        """Decide again; `now` is monotonic seconds.

        Raises:
            RedisUnavailable: if the server does not answer.
        """
        if lead.fence != self._fence:
            self._fence = lead.fence
            self._policy.forget()
            self._market.forget()
            self._observer.recall()
        seen = self._observer.observe(now)
        decision = self._market.adjust(self._policy.decide(self._market.lend(seen), now), seen, now)
        manners = self._policy.manners(decision, seen)
        self.unserved = unserved(seen, decision.counts, self._classes)
        report = self._report(lead, seen, decision)
        failpoint("scheduler.decided")
        changes = list(_changes(seen, report))
        for change in changes:
            log.info("%s: %d -> %d workers: %s", change.worker_class, change.before, change.after, change.reason)
        op = self._leadership.desire(
            lead, decision.counts, report=report, changes=changes, manners=manners, manners_ttl_ms=self._manners_ttl_ms
        )
        self._connection.run(op)
        failpoint("scheduler.desired")
        self._hastener.step(seen)

    def _report(self, lead: Lead, seen: Observation, decision: Decision) -> ScalingReport:
        return ScalingReport(
            at_ms=time.time_ns() // 1_000_000,
            scheduler=lead.leader,
            cost_per_hour=cost_per_hour(decision.classes, self._classes),
            classes=tuple(self._row(name, seen, decided) for name, decided in decision.classes.items()),
        )

    def _row(self, name: str, seen: Observation, decided: ClassDecision) -> ClassScaling:
        load, demand, kind = seen.classes[name], decided.demand, self._classes[name]
        return ClassScaling(
            worker_class=name,
            count=decided.workers,
            wanted=decided.wanted,
            min_workers=kind.min_workers,
            max_workers=kind.max_workers,
            ready=load.ready,
            starting=load.starting,
            draining=load.draining,
            jobs=demand.jobs,
            backlog_s=round(demand.backlog_s, 3),
            oldest_age_s=round(demand.oldest_age_s, 2),
            arriving=round(demand.arriving, 4),
            planned=round(decided.planned, 4),
            forecast=decided.forecast,
            rule=self._rule,
            cold_start_s=round(load.cold_start_s, 2),
            start_s={stage: round(seconds, 2) for stage, seconds in load.start_s.items()},
            job_s=_times(load, seen.queues),
            reasons=decided.reasons,
        )


def _times(load: ClassLoad, queues: Iterable[QueueLoad]) -> dict[str, float]:
    """What a class has measured of the versions that there are jobs of, or were."""
    refs = sorted(load.ran.intersection(str(queue.ref) for queue in queues))
    return {ref: float(f"{load.job_s[ref]:.4g}") for ref in refs}


def _changes(seen: Observation, report: ScalingReport) -> Iterator[ScalingChange]:
    for row in report.classes:
        before = seen.classes[row.worker_class].desired or 0
        if before != row.count:
            yield ScalingChange(
                at_ms=report.at_ms,
                worker_class=row.worker_class,
                before=before,
                after=row.count,
                reason="; ".join(row.reasons),
                inputs=row.model_copy(update={"job_s": {}}),
            )
