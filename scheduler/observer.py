"""Observer: looks at queues and workers in Redis and makes of it what the scaling policy needs. Changes nothing."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from headrace.groups import outgrown_of, queue_of, split_group
from headrace.model_ref import ModelRef
from headrace.presence import ModelState, WorkerPresence, WorkerState, parse_presences
from headrace.queue_store import QueueStore
from headrace.redis_op import RedisOp, Reply
from headrace.replies import read_texts
from headrace.scaling import parse_report
from headrace.store import JobStore
from headrace.store_views import DueJobs, QueueCounts, QueueDepth
from headrace.sync_redis import SyncRedis
from headrace.worker_class import WorkerClass
from headrace.worker_fit import NOTHING, Needs
from scheduler.forecaster import level_tau_s
from scheduler.meters import JobTimes, RateMeter, StartMeter, pass_s
from scheduler.observation import ClassLoad, Due, Observation, QueueLoad

#: Into so many parts the time is divided in which deadlines are looked for, and so many of each are looked at.
_STRETCHES, _LOOKED_AT = 12, 64


class Observer:
    """Remembers what it needs to tell rates.

    Args:
        store: operations of the cell.
        connection: carries them out.
        classes: the worker classes.
        needs: answers what a model version needs of a worker.
    """

    def __init__(
        self,
        *,
        store: JobStore,
        connection: SyncRedis,
        classes: Mapping[str, WorkerClass],
        needs: Callable[[ModelRef], Needs] = lambda _: NOTHING,
    ) -> None:
        self._store = store
        self._pauses = QueueStore(store.keys)
        self._connection = connection
        self._classes = classes
        self._needs = needs
        self._rates, self._starts = RateMeter(), StartMeter()
        self._times, self._passes = JobTimes(), JobTimes(pass_s)

    def recall(self) -> None:
        """Take over what the last scheduler knew of times: who measured them may be gone.

        Raises:
            RedisUnavailable: if the server does not answer.
        """
        report = self._connection.run(RedisOp(parse_report, ("GET", self._store.keys.scaling)))
        for row in report.classes if report else ():
            self._times.recall(row.worker_class, row.job_s)

    def observe(self, now: float) -> Observation:
        """Look; `now` is monotonic seconds.

        Raises:
            RedisUnavailable: if the server does not answer.
        """
        store, keys, run = self._store, self._store.keys, self._connection.run
        groups = run(store.groups())
        depths = run(store.depths(groups)) if groups else []
        counts = dict(zip(groups, self._connection.run_all(map(store.counts, groups)), strict=True))
        names = run(RedisOp(read_texts, ("ZRANGE", keys.workers, 0, -1)))
        workers = run(RedisOp(parse_presences, ("MGET", *map(keys.worker, names)))) if names else []
        desired = run(RedisOp(_numbers, ("HGETALL", keys.desired)))
        dues = run(store.dues(self._stretches(), most=_LOOKED_AT)) if groups else []
        pauses = run(self._pauses.paused())
        self._starts.note(workers)
        self._times.note(workers)
        self._passes.note(workers)
        seen = self._put_together(depths, counts, workers, desired, dues, now)
        return _without(seen, pauses)

    def _put_together(
        self,
        depths: Iterable[QueueDepth],
        counts: Mapping[str, QueueCounts],
        workers: Sequence[WorkerPresence],
        desired: Mapping[str, int],
        dues: Sequence[DueJobs],
        now: float,
    ) -> Observation:
        tau_s = min((self._tau_s(name, kind) for name, kind in self._classes.items()), default=1.0)
        arrived = {group: count.arrived for group, count in counts.items()}
        rates = self._rates.update(arrived, now, tau_s=tau_s)
        growth = self._rates.growth
        queues = (self._queue(depth, workers, rates[depth.group], growth[depth.group]) for depth in depths)
        soon: dict[str, list[Due]] = {}
        for group, jobs, in_s in dues:
            soon.setdefault(group, []).append(Due(jobs, in_s))
        averages = _averages(counts)
        classes = {name: self._class(name, workers, desired.get(name), averages) for name in self._classes}
        seen = (queue._replace(dues=tuple(soon.get(queue.group, ()))) for queue in queues)
        return Observation(tuple(seen), classes)

    def _queue(
        self, depth: QueueDepth, workers: Iterable[WorkerPresence], arrivals: float, arrived: float
    ) -> QueueLoad:
        ref, tier = split_group(depth.group)
        held = sum(worker.groups[depth.group].held for worker in workers if depth.group in worker.groups)
        oldest_age_s = depth.oldest_age_ms / 1000 if depth.depth else 0.0
        needs = self._needs(ref)._replace(outgrown_bytes=outgrown_of(depth.group))
        return QueueLoad(ref, tier, depth.depth, held, arrivals, arrived, needs, oldest_age_s)

    def _stretches(self) -> list[float]:
        """The time to come, in parts, within which a deadline can ask for more than the objective does."""
        reaches = (kind.wait_objective_s + self._starts.cold_start_s(name) for name, kind in self._classes.items())
        reach_s = max(reaches, default=1.0)
        return [reach_s * part / _STRETCHES for part in range(1, _STRETCHES + 1)]

    def _tau_s(self, name: str, kind: WorkerClass) -> float:
        return level_tau_s(self._starts.cold_start_s(name), kind.wait_objective_s, kind.scale_down_window_s)

    def _class(
        self, name: str, workers: Sequence[WorkerPresence], desired: int | None, averages: Mapping[str, float]
    ) -> ClassLoad:
        mine = [worker for worker in workers if worker.worker_class == name]
        stages = list(map(stage_of, mine))
        return ClassLoad(
            ready=stages.count(WorkerState.READY),
            starting=stages.count(WorkerState.STARTING),
            draining=stages.count(WorkerState.DRAINING),
            desired=desired,
            cold_start_s=self._starts.cold_start_s(name),
            start_s=self._starts.stages(name),
            job_s=self._times.of_class(name, averages),
            pass_s=self._passes.of_class(name, {}),
            ran=self._times.measured_by(name),
            unable=_unable(mine),
            holds=frozenset(group for worker in mine for group, load in worker.groups.items() if load.held),
        )


def _without(seen: Observation, pauses: Collection[str]) -> Observation:
    """Queues that are paused need no workers, however much comes: only what they hold of them is still to be done."""
    paused, queues = dict.fromkeys(pauses, 0), []
    for queue in seen.queues:
        if (name := queue_of(queue.group)) in paused:
            paused[name] += queue.waiting
            queues.append(queue._replace(waiting=0, arrivals=0.0, arrived=0.0, oldest_age_s=0.0, dues=()))
        else:
            queues.append(queue)
    return seen._replace(queues=tuple(queues), paused=paused)


def stage_of(worker: WorkerPresence) -> WorkerState:
    """Like its state, but a worker whose models are still loading is only starting."""
    states = [model.state for model in worker.models.values()]
    if worker.state is WorkerState.READY and states and ModelState.READY not in states:
        return WorkerState.STARTING
    return worker.state


def _unable(workers: Iterable[WorkerPresence]) -> frozenset[str]:
    """Model versions that some of the workers could not load, and none of them has."""
    found: dict[str, set[ModelState]] = {}
    for worker in workers:
        for ref, model in worker.models.items():
            found.setdefault(ref, set()).add(model.state)
    return frozenset(ref for ref, states in found.items() if states == {ModelState.FAILED})


def _averages(counts: Mapping[str, QueueCounts]) -> dict[str, float]:
    """Seconds of work in one job of each model version since ever, over all tiers."""
    jobs: dict[str, int] = {}
    run_s: dict[str, float] = {}
    for group, count in counts.items():
        ref = str(split_group(group)[0])
        jobs[ref] = jobs.get(ref, 0) + count.ended
        run_s[ref] = run_s.get(ref, 0.0) + count.run_ms / 1000
    return {ref: run_s[ref] / ended for ref, ended in jobs.items() if ended}


def _numbers(reply: Reply) -> dict[str, int]:
    return {reply[i].decode(): int(reply[i + 1]) for i in range(0, len(reply), 2)}
