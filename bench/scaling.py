"""`scaling`: a burst on a whole system that starts with no worker, beside the same policy on a simulated clock.

Worker processes are real, their passes sleep. How many there were is read from what they say of themselves: from the
first moment of each process to the last that was heard of it. The replay is given the same arrivals and the measured
cold start.
"""

import argparse
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.report import Report, summarize
from bench.scaling_replay import Replay
from bench.whole_system import Done, WholeSystem, poisson
from headrace.presence import parse_presences
from headrace.redis_op import RedisOp
from headrace.replies import read_texts
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass

_LOOK_S = 0.2
_GRID_S = 0.5
_GONE_LIMIT_S = 120.0
#: Before the first job.
_QUIET_S = 2.0


class Phase(NamedTuple):
    """Jobs a second, for so many seconds."""

    per_s: float
    seconds: float


_BURST = (Phase(6, 12), Phase(40, 30), Phase(6, 15))
_SMOKE = (Phase(6, 4), Phase(24, 8))


class Span(NamedTuple):
    """A worker's life in seconds from the beginning."""

    started_s: float
    ended_s: float


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument("--forward-ms", type=float, default=400.0, help="length of a forward pass")
    parser.add_argument("--max-batch", type=int, default=4, help="largest batch")
    parser.add_argument("--max-workers", type=int, default=8, help="most workers")
    parser.add_argument("--runs", type=int, default=3, help="repetitions, each with its own seed")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say."""
    phases, runs, most = (_SMOKE, 1, 2) if options.smoke else (_BURST, options.runs, options.max_workers)
    kind = WorkerClass(
        min_workers=0, max_workers=most, tiers=(Tier.STANDARD,), wait_objective_s=5, scale_down_window_s=5
    )
    measured = []
    for seed in range(runs):
        with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
            measured.append(_burst(Path(folder), options, kind, phases, seed))
        print(f"run {seed + 1} of {runs}: {measured[-1]}", file=sys.stderr, flush=True)
    figures, spread = summarize(measured)
    return Report(bench="scaling", figures=figures | {"max_workers": most, "runs": runs}, spread=spread)


def _burst(
    folder: Path, options: argparse.Namespace, kind: WorkerClass, phases: Sequence[Phase], seed: int
) -> dict[str, float]:
    arrivals = [
        arrival._replace(at_s=arrival.at_s + _QUIET_S) for arrival in poisson(phases, {Tier.STANDARD: 1.0}, seed)
    ]
    system = WholeSystem(
        folder=folder, forward_ms=options.forward_ms, max_batch=options.max_batch, classes={"bench": kind}
    )
    with system:
        watch = Watch(system)
        began = time.time()
        handed = system.hand_in(arrivals)
        system.wait_until_drained()
        if not options.smoke:
            system.service.wait_for("without workers", lambda: not watch.alive, limit_s=_GONE_LIMIT_S)
        over_s = time.time() - began
        watch.close()
        done = system.read(handed)
        rescued = int(system.redis.client.hget(system.store.keys.stats, "rescued") or 0)
    live = [Span(started - began, ended - began) for started, ended, _ in watch.lives.values()]
    cold_s = statistics.mean(cold for _, _, cold in watch.lives.values() if cold)
    replay = Replay(
        kind=kind, forward_s=options.forward_ms / 1000, max_batch=options.max_batch, cold_start_s=cold_s
    ).run([arrival.at_s for arrival in arrivals], until_s=over_s)
    simulated = [Span(life.started_s, min(life.ended_s, over_s)) for life in replay]
    first_ms = min(one.accepted_ms for one in done)
    figures = _compare(live, simulated, over_s) | _jobs(done, rescued)
    return figures | {
        "wake_s": min(span.started_s for span in live) - (first_ms / 1000 - began),
        "cold_start_s": cold_s,
        "seconds": over_s,
    }


class Watch:
    """Looks at the workers again and again, in a thread with a connection of its own."""

    def __init__(self, system: WholeSystem) -> None:
        self._redis = SyncRedis(url=str(system.redis_url))
        self._keys = system.store.keys
        #: Of each worker: start of its process and when it was last seen, seconds since 1970, and its cold start.
        self.lives: dict[str, tuple[float, float, float]] = {}
        self.alive = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        run, keys = self._redis.run, self._keys
        while not self._over.wait(_LOOK_S):
            names = run(RedisOp(read_texts, ("ZRANGE", keys.workers, 0, -1)))
            found = run(RedisOp(parse_presences, ("MGET", *map(keys.worker, names)))) if names else []
            workers = [worker for worker in found if worker.worker_class == "bench"]
            for worker in workers:
                cold_s = (worker.ready_ms - worker.started_ms) / 1000 if worker.ready_ms else 0.0
                self.lives[worker.id] = (worker.started_ms / 1000, time.time(), cold_s)
            self.alive = len(workers)

    def close(self) -> None:
        """End."""
        self._over.set()
        self._thread.join()
        self._redis.close()


def _compare(live: Sequence[Span], simulated: Sequence[Span], over_s: float) -> dict[str, float]:
    grid = [step * _GRID_S for step in range(int(over_s / _GRID_S))]
    pairs = [(_count(live, at), _count(simulated, at)) for at in grid]
    spent = [sum(span.ended_s - span.started_s for span in spans) for spans in (live, simulated)]
    return {
        "worker_seconds_ratio_to_simulation": spent[0] / spent[1],
        "mean_absolute_difference_workers": statistics.mean(abs(a - b) for a, b in pairs),
        "worker_seconds": spent[0],
        "most_workers": max(a for a, _ in pairs),
        "most_workers_simulated": max(b for _, b in pairs),
        "workers_started": len(live),
    }


def _count(spans: Sequence[Span], at_s: float) -> int:
    return sum(span.started_s <= at_s < span.ended_s for span in spans)


def _jobs(done: Sequence[Done], rescued: int) -> dict[str, float]:
    waits = sorted(one.wait_s for one in done)
    return {
        "jobs": len(done),
        "jobs_failed": sum(one.status != "succeeded" for one in done),
        "jobs_run_again": sum(one.attempts != 1 for one in done) + rescued,
        "wait_p50_s": waits[len(waits) // 2],
        "wait_p99_s": waits[len(waits) * 99 // 100],
    }
