"""`python -m scheduler.simulate`: what the scheduler's policy would do with a trace, beside the policies of others.

The policy and the forecaster are the scheduler's own. The last line with `--json` is one JSON object.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from scheduler.simulation import fluid
from scheduler.simulation.arrivals import (
    Jobs,
    generated_rate,
    is_rate,
    jobs_of_rate,
    jobs_of_requests,
    read_rate,
    read_requests,
)
from scheduler.simulation.comparison import Comparison, Row, compare, table
from scheduler.simulation.events import engine
from scheduler.simulation.front import BASELINE_RANGES
from scheduler.simulation.plant import Engine, Plant
from scheduler.simulation.scenarios.catalog import SCENARIOS, Request
from scheduler.simulation.scenarios.report import document, save_chart
from scheduler.simulation.scenarios.report import table as table_of

ENGINES: Mapping[str, Engine] = {"fluid": fluid.simulate, "events": engine.simulate}
_SMOKE_S = {"fluid": 6 * 3600.0, "events": 1800.0}


def main(arguments: Sequence[str]) -> int:
    """Simulate and print; answers the exit status."""
    options = _parser().parse_args(arguments)
    if options.scenario:
        return _play(options)
    began = time.monotonic()
    jobs = _jobs(options)
    wanted = options.policy.split(",")
    unknown = set(wanted) - {"headrace"} - {reach.policy for reach in BASELINE_RANGES}
    if unknown:
        print(f"there is no policy {', '.join(sorted(unknown))}", file=sys.stderr)  # noqa: T201 - said to a person
        return 2
    baselines = [reach for reach in BASELINE_RANGES if reach.policy in wanted]
    run = ENGINES[options.engine]
    found = [
        compare(jobs, plant, baselines, window_s=plant.window_s, engine=run, processes=options.processes)
        for plant in _plants(options)
    ]
    if options.png:
        _draw(options.png, found[-1], jobs)
    rows = [row for comparison in found for row in comparison.rows]
    if not options.json:
        print("\n".join(table(rows)))  # noqa: T201 - what a simulation is for
    print(json.dumps(_document(jobs, options.engine, rows, time.monotonic() - began)))  # noqa: T201
    return 0


def _play(options: argparse.Namespace) -> int:
    began = time.monotonic()
    found = SCENARIOS[options.scenario](Request(options.seed, options.trace, options.smoke))
    if options.png:
        save_chart(options.png, found)
    if not options.json:
        print("\n".join(table_of(found.rows)))  # noqa: T201
    print(json.dumps(document(found, time.monotonic() - began)))  # noqa: T201
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scheduler.simulate", description=__doc__)
    add = parser.add_argument
    add(
        "--trace", type=Path, help="CSV, gzipped: t_s and req_per_s, or one row for each request; none: a generated day"
    )
    add("--policy", default="headrace,keda,hpa,knative,rate", help="which, with commas between")
    add(
        "--engine", choices=ENGINES, default="fluid", help="fluid: for days; events: single jobs and batches, for hours"
    )
    add("--cold-start", default="90", help="seconds from asking for a worker until it is ready, with commas between")
    add("--slo", type=float, default=30.0, help="seconds that a job is to wait at most")
    add("--window", default="", help="seconds in which fewer workers must have been enough, one for each cold start")
    add("--seeds", type=int, default=10, help="how many draws of the arrivals")
    add("--mean", type=float, default=20.0, help="jobs each second, on average")
    add("--mu", type=float, default=2.0, help="jobs each second of one worker")
    add("--least", type=int, default=0, help="workers that are always there")
    add("--processes", type=int, default=1, help="how many work at once on the comparison")
    add("--png", type=Path, help="draw load, workers and waits")
    add("--scenario", choices=SCENARIOS, help="play this instead, with single jobs, tiers and worker classes")
    add("--seed", type=int, default=1, help="of the scenario")
    add("--json", action="store_true", help="print nothing but the JSON object")
    add("--smoke", action="store_true", help="a few hours and two seeds: does it work?")
    return parser


def _jobs(options: argparse.Namespace) -> Jobs:
    seeds = 2 if options.smoke else options.seeds
    if options.trace and not is_rate(options.trace):
        at_s = read_requests(options.trace)
        return jobs_of_requests(options.trace.name, at_s, mean=options.mean, seeds=seeds)
    rate = read_rate(options.trace) if options.trace else generated_rate(days=1)
    rate = rate.of_first(_SMOKE_S[options.engine]) if options.smoke else rate
    return jobs_of_rate(rate.scaled_to(options.mean), seeds=seeds)


def _plants(options: argparse.Namespace) -> list[Plant]:
    cold_starts = [float(text) for text in options.cold_start.split(",")]
    windows = [float(text) for text in options.window.split(",")] if options.window else [900.0]
    windows += windows[-1:] * (len(cold_starts) - len(windows))
    return [
        Plant(cold_start_s=cold_s, mu=options.mu, objective_s=options.slo, window_s=window_s, least=options.least)
        for cold_s, window_s in zip(cold_starts, windows, strict=False)
    ]


def _draw(path: Path, comparison: Comparison, jobs: Jobs) -> None:
    from scheduler.simulation.chart import save_chart

    plant = comparison.plant
    title = f"{jobs.name}: cold start {plant.cold_start_s:g} s, objective {plant.objective_s:g} s"
    save_chart(path, comparison.shown, jobs.counts, plant, title=title)


def _document(jobs: Jobs, engine_name: str, rows: Sequence[Row], took_s: float) -> dict[str, object]:
    # JSON knows no infinity: null where our front does not attain as much.
    documents = [{name: _finite(value) for name, value in row._asdict().items()} for row in rows]
    return {
        "trace": jobs.name,
        "engine": engine_name,
        "hours": round(jobs.seconds / 3600, 2),
        "seeds": jobs.counts.shape[1],
        "took_s": round(took_s, 1),
        "rows": documents,
    }


def _finite(value: object) -> object:
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
