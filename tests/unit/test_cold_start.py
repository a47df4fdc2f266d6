"""Workers on their way, as those are told who wait for them. Pure."""

from typing import Any

import pytest

from headrace.cold_start import ColdStart, cold_start_of
from headrace.eta import Basis
from headrace.model_ref import ModelRef
from headrace.presence import ModelPresence, ModelState, WorkerPresence, WorkerState
from headrace.scaling import ClassScaling, ScalingReport, parse_report
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass

REF = ModelRef("m", 1)
NOW_MS = 1_800_000_000_000
CLASSES = {
    "gpu": WorkerClass(models=("m",), max_workers=9),
    "spot": WorkerClass(tiers=(Tier.SPOT,), max_workers=9),
    "other": WorkerClass(models=("x*",), max_workers=9),
}


def row(name: str, count: int, cold_start_s: float = 20.0, **fields: Any) -> ClassScaling:
    numbers = dict.fromkeys(("wanted", "min_workers", "ready", "starting", "draining", "jobs"), 0)
    known = {"max_workers": 9, "backlog_s": 0.0, "arriving": 0.0, "reasons": (), **numbers}
    return ClassScaling.model_validate(
        {"worker_class": name, "count": count, "cold_start_s": cold_start_s, **known, **fields}
    )


def worker(age_s: float = 0.0, state: WorkerState = WorkerState.STARTING, **fields: Any) -> WorkerPresence:
    known = {"id": "w1", "worker_class": "gpu", "host": "h", "pid": 1, "device": "cpu", "tiers": tuple(Tier)}
    started_ms = NOW_MS - round(age_s * 1000)
    return WorkerPresence.model_validate({**known, "state": state, "started_ms": started_ms, **fields})


def coming(
    *rows: ClassScaling, workers: tuple[WorkerPresence, ...] = (), tier: Tier = Tier.STANDARD
) -> ColdStart | None:
    report = ScalingReport(at_ms=NOW_MS, scheduler="s", classes=rows)
    return cold_start_of(REF, tier, workers=workers, report=report, classes=CLASSES, now_ms=NOW_MS)


def test_workers_that_nobody_has_seen_yet_take_a_whole_start() -> None:
    assert ColdStart("gpu", 3, 20.0) == coming(row("gpu", 3))


def test_one_that_has_begun_takes_what_is_left_of_it() -> None:
    assert ColdStart("gpu", 2, 12.0) == coming(row("gpu", 2), workers=(worker(8.0),))


@pytest.mark.parametrize("age_s", [19.9, 3600.0])
def test_one_that_takes_longer_than_others_did_comes_soon(age_s: float) -> None:
    assert ColdStart("gpu", 1, 2.0) == coming(row("gpu", 1), workers=(worker(age_s),))


def test_a_clock_that_is_behind_makes_no_start_longer() -> None:
    assert ColdStart("gpu", 1, 20.0) == coming(row("gpu", 1), workers=(worker(-3600.0),))


def test_a_worker_that_runs_others_takes_the_load_of_this_one() -> None:
    loading = {str(REF): ModelPresence(state=ModelState.LOADING)}
    ready = worker(3600.0, WorkerState.READY, ready_ms=NOW_MS - 1, models=loading)

    assert ColdStart("gpu", 1, 4.0) == coming(row("gpu", 1, start_s={"model": 4.0}), workers=(ready,))


def test_the_class_that_comes_first_is_told() -> None:
    rows = row("gpu", 1, 20.0), row("spot", 2, 5.0)

    assert ColdStart("gpu", 1, 20.0) == coming(*rows)
    assert ColdStart("spot", 2, 5.0) == coming(*rows, tier=Tier.SPOT)


def test_nobody_comes_of_a_class_that_serves_others_or_wants_no_more() -> None:
    refused = {str(REF): ModelPresence(state=ModelState.FAILED, error="no such file")}
    failed = worker(3600.0, WorkerState.READY, ready_ms=NOW_MS - 1, models=refused)

    assert None is coming(row("other", 3), row("gpu", 0), row("unknown", 2))
    assert None is coming(row("gpu", 1), workers=(failed,))


def test_jobs_before_it_are_done_by_those_who_come() -> None:
    estimate = ColdStart("gpu", 2, 10.0).estimate(ahead=8, job_s=0.5)

    assert (12.0, 12.5, Basis.COLD_START) == (estimate.start_p50_s, estimate.finish_p50_s, estimate.basis)
    assert (15.0, 15.625) == (estimate.start_p90_s, estimate.finish_p90_s)


def test_garbage_in_place_of_a_decision_is_none() -> None:
    assert (None, None) == (parse_report(None), parse_report(b"garbage"))
