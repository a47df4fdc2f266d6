"""Observer: looks at queues and workers in Redis and makes of it what the scaling policy needs. Changes nothing."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from headrace.groups import outgrown_of, split_group
from headrace.model_ref import ModelRef
from headrace.presence import ModelState, WorkerPresence, WorkerState, parse_presences
from headrace.redis_op import RedisOp, Reply
from headrace.replies import read_texts
from headrace.store import JobStore
from headrace.store_views import QueueCounts, QueueDepth
from headrace.sync_redis import SyncRedis
from headrace.worker_class import WorkerClass
from headrace.worker_fit import NOTHING, Needs
from scheduler.forecaster import level_tau_s
from scheduler.meters import JobTimes, RateMeter, StartMeter, pass_s
from scheduler.observation import ClassLoad, Observation, QueueLoad


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
        self._connection = connection
        self._classes = classes
        self._needs = needs
        self._rates, self._starts = RateMeter(), StartMeter()
        self._times, self._passes = JobTimes(), JobTimes(pass_s)

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
        self._starts.note(workers)
        self._times.note(workers)
        self._passes.note(workers)
        return self._put_together(depths, counts, workers, desired, now)

    def _put_together(
        self,
        depths: Iterable[QueueDepth],
        counts: Mapping[str, QueueCounts],
        workers: Sequence[WorkerPresence],
        desired: Mapping[str, int],
        now: float,
    ) -> Observation:
        tau_s = min((self._tau_s(name, kind) for name, kind in self._classes.items()), default=1.0)
        arrived = {group: count.arrived for group, count in counts.items()}
        rates = self._rates.update(arrived, now, tau_s=tau_s)
        growth = self._rates.growth
        queues = (self._queue(depth, workers, rates[depth.group], growth[depth.group]) for depth in depths)
        averages = _averages(counts)
        classes = {name: self._class(name, workers, desired.get(name), averages) for name in self._classes}
        return Observation(tuple(queues), classes)

    def _queue(
        self, depth: QueueDepth, workers: Iterable[WorkerPresence], arrivals: float, arrived: float
    ) -> QueueLoad:
        ref, tier = split_group(depth.group)
        held = sum(worker.groups[depth.group].held for worker in workers if depth.group in worker.groups)
        oldest_age_s = depth.oldest_age_ms / 1000 if depth.depth else 0.0
        needs = self._needs(ref)._replace(outgrown_bytes=outgrown_of(depth.group))
        return QueueLoad(ref, tier, depth.depth, held, arrivals, arrived, needs, oldest_age_s)

    def _tau_s(self, name: str, kind: WorkerClass) -> float:
        return level_tau_s(self._starts.cold_start_s(name), kind.wait_objective_s, kind.scale_down_window_s)

    def _class(
        self, name: str, workers: Sequence[WorkerPresence], desired: int | None, averages: Mapping[str, float]
    ) -> ClassLoad:
        stages = [stage_of(worker) for worker in workers if worker.worker_class == name]
        return ClassLoad(
            ready=stages.count(WorkerState.READY),
            starting=stages.count(WorkerState.STARTING),
            draining=stages.count(WorkerState.DRAINING),
            desired=desired,
            cold_start_s=self._starts.cold_start_s(name),
            start_s=self._starts.stages(name),
            job_s=self._times.of_class(name, averages),
            pass_s=self._passes.of_class(name, {}),
        )


def stage_of(worker: WorkerPresence) -> WorkerState:
    """Like its state, but a worker whose models are still loading is only starting."""
    states = [model.state for model in worker.models.values()]
    if worker.state is WorkerState.READY and states and ModelState.READY not in states:
        return WorkerState.STARTING
    return worker.state


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
