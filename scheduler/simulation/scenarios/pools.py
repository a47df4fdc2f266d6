"""One pool that serves two models with opposite daily curves, beside two pools: each sized for its peak, or scaled.

The curves' sum is the same all day, so that what one model leaves the other can use.
"""

from collections.abc import Mapping, Sequence

from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from scheduler.simulation.events.crew import Speed
from scheduler.simulation.events.queues import Job
from scheduler.simulation.events.scheduling import Moment
from scheduler.simulation.scenarios.load import Stream, daily, jobs_of
from scheduler.simulation.scenarios.report import Finding, Row
from scheduler.simulation.scenarios.trial import Trial, play

#: Workers' work of each model at its peak, and the part of it that is left at night.
PEAKS, _LOW = (0.4, 1.5, 3.0, 6.0), 0.1
#: Which of them is drawn and whose figures are told.
_SHOWN = 3.0
_DAY, _NIGHT = ModelRef("day", 1), ModelRef("night", 1)
_PER_S, _OBJECTIVE_S, _COLD_S = 0.2, 60.0, 90.0
_GOAL = 0.999
_SPEED = Speed.of_rate(_PER_S, max_batch=4)


def run(*, hours: float, seed: int, peaks: tuple[float, ...] = PEAKS) -> Finding:
    """Play each size; a day lasts as long as all of it."""
    rows: list[Row] = []
    shown: Sequence[Moment] = ()
    figures: dict[str, float] = {}
    for peak in peaks:
        jobs = _jobs(peak, hours, seed)
        one, scaled = _play(jobs, _one_pool(), hours, seed), _play(jobs, _two_pools(), hours, seed)
        sized = _sized(peak, jobs, hours, seed)
        hours_of = {name: sum(trial.worker_hours.values()) for name, trial in (("one", one), ("two", scaled))}
        hours_of["sized"] = sum(sized.worker_hours.values())
        row: Row = {
            "peak of each": f"{peak:g} workers",
            "two sized for it": hours_of["sized"],
            "two scaled": hours_of["two"],
            "one scaled": hours_of["one"],
            "over sized": hours_of["one"] / hours_of["sized"],
            "over scaled": hours_of["one"] / hours_of["two"],
            "in time %": 100 * one.in_time(_OBJECTIVE_S),
            "two scaled %": 100 * scaled.in_time(_OBJECTIVE_S),
            "two sized %": 100 * sized.in_time(_OBJECTIVE_S),
        }
        rows.append(row)
        if not shown or peak == _SHOWN:
            shown = one.moments
            figures = {
                "peak_workers": peak,
                "worker_hours_over_two_sized_pools": hours_of["one"] / hours_of["sized"],
                "worker_hours_over_two_scaled_pools": hours_of["one"] / hours_of["two"],
                "in_time": one.in_time(_OBJECTIVE_S),
            }
    return Finding("pools", rows, figures, shown)


def _jobs(peak: float, hours: float, seed: int) -> list[Job]:
    curve = {"low": _LOW * peak * _PER_S, "high": peak * _PER_S, "hours": hours, "period_h": hours}
    streams = (Stream(daily(**curve), _DAY), Stream(daily(**curve, begins_h=hours / 2), _NIGHT))
    return jobs_of(streams, seed=seed)


def _play(jobs: list[Job], classes: Mapping[str, WorkerClass], hours: float, seed: int) -> Trial:
    speeds = {
        name: {ref: _SPEED for ref in (_DAY, _NIGHT) if kind.models[0] in ("*", ref.name)}
        for name, kind in classes.items()
    }
    return play(jobs, classes=classes, speeds=speeds, hours=hours, cold_start_s=_COLD_S, seed=seed)


def _sized(peak: float, jobs: list[Job], hours: float, seed: int) -> Trial:
    """Two pools of the least constant size that keeps the goal; both curves are alike, so both have the same."""
    size = max(1, round(peak))
    while True:
        trial = _play(jobs, _two_pools(size), hours, seed)
        if trial.in_time(_OBJECTIVE_S) >= _GOAL:
            return trial
        size += 1


def _one_pool() -> dict[str, WorkerClass]:
    return {"shared": _kind("*")}


def _two_pools(size: int | None = None) -> dict[str, WorkerClass]:
    return {"for-day": _kind("day", size), "for-night": _kind("night", size)}


def _kind(model: str, size: int | None = None) -> WorkerClass:
    return WorkerClass(
        models=(model,),
        tiers=(Tier.STANDARD,),
        # Never to nothing: a start takes longer than a job may wait.
        min_workers=size or 1,
        max_workers=size or 40,
        wait_objective_s=_OBJECTIVE_S,
        scale_down_window_s=900.0,
        price_per_hour=1.0,
    )
