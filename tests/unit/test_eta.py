"""Estimates of a wait: from pace and place, and from how wrong they were."""

import random
from typing import Any

import pytest

from headrace.eta import Confidence, Estimate, Forecaster, Pace
from headrace.model_ref import ModelRef
from headrace.presence import GroupLoad, ModelPresence, ModelState, WorkerPresence, WorkerState
from headrace.tiers import Tier

REF = ModelRef("m", 1)
PACE = Pace(workers=1, busy=1, pass_s=2.0, batch=8.0, staged=0)


def worker(*, state: ModelState = ModelState.READY, running: int = 0, held: int = 0, **model: Any) -> WorkerPresence:
    seen = {"passes": 10, "runs": 10, "jobs": 40, "busy_s": 20.0, "job_s": 0.25} | model
    return WorkerPresence(
        id="w1",
        worker_class="c",
        host="h",
        pid=1,
        device="cpu",
        tiers=(Tier.STANDARD,),
        state=WorkerState.READY,
        models={str(REF): ModelPresence(state=state, **seen)},
        started_ms=0,
        groups={f"{REF}:standard": GroupLoad(held=held, running=running)},
    )


def estimate(pace: Pace = PACE, ahead: int = 0) -> Estimate:
    return Forecaster().estimate(pace, ahead)


# --- pace ----------------------------------------------------------------------------------------------------


def test_the_pace_is_that_of_all_ready_workers() -> None:
    pace = Pace.of([worker(running=4, held=6), worker(running=0, held=1)], REF, Tier.STANDARD)

    assert Pace(workers=2, busy=1, pass_s=2.0, batch=8.0, staged=3) == pace


@pytest.mark.parametrize(
    "workers",
    [[], [worker(state=ModelState.LOADING)], [worker(passes=0, jobs=0, busy_s=0.0, job_s=None)]],
    ids=["nobody", "loading", "no pass yet"],
)
def test_without_a_worker_that_has_run_a_pass_no_pace_is_known(workers: list[WorkerPresence]) -> None:
    assert Pace.of(workers, REF, Tier.STANDARD) is None


def test_workers_of_other_tiers_do_not_count() -> None:
    assert Pace.of([worker()], REF, Tier.SPOT) is None


def test_workers_that_leave_a_queue_to_others_do_not_count() -> None:
    away = worker().model_copy(update={"left": (f"{REF}:standard",)})

    assert Pace.of([away], REF, Tier.STANDARD) is None


def test_as_long_as_no_full_pass_was_seen_batches_are_as_they_were() -> None:
    pace = Pace.of([worker(job_s=None)], REF, Tier.STANDARD)

    assert pace is not None
    assert 4.0 == pace.batch


# --- what is expected ----------------------------------------------------------------------------------------


def test_with_an_idle_worker_a_job_takes_one_pass() -> None:
    idle = estimate(Pace(workers=1, busy=0, pass_s=2.0, batch=8.0, staged=0))

    assert (idle.batches_ahead, idle.expected_s, idle.start_p50_s) == (0, 2.0, 0.0)


def test_with_a_busy_worker_it_waits_for_half_a_pass_on_average() -> None:
    assert (estimate().batches_ahead, estimate().expected_s) == (1, 3.0)


@pytest.mark.parametrize(("ahead", "batches"), [(7, 1), (8, 2), (15, 2), (16, 3), (80, 11)])
def test_full_batches_ahead_are_counted(ahead: int, batches: int) -> None:
    assert (batches, 1.0 + 2.0 * batches) == (estimate(ahead=ahead).batches_ahead, estimate(ahead=ahead).expected_s)


def test_more_workers_take_more_at_once() -> None:
    assert 1 == estimate(Pace(workers=4, busy=4, pass_s=2.0, batch=8.0, staged=0), ahead=31).batches_ahead


def test_what_was_claimed_and_does_not_run_is_ahead_too() -> None:
    assert 2 == estimate(Pace(workers=1, busy=1, pass_s=2.0, batch=8.0, staged=8), ahead=1).batches_ahead


def test_whoever_waits_behind_others_has_met_no_idle_worker() -> None:
    stale = Pace(workers=1, busy=0, pass_s=2.0, batch=8.0, staged=0)

    assert 1 == estimate(stale, ahead=1).batches_ahead


# --- what is learned -----------------------------------------------------------------------------------------


def taught(forecaster: Forecaster, *, jobs: int, factor: float) -> float:
    """Let jobs take `factor` times as long as expected, give or take a fifth; answers the share that kept its p90."""
    rng, kept = random.Random(1), 0
    for _ in range(jobs):
        told = forecaster.estimate(PACE, rng.randrange(60))
        took_s = told.expected_s * factor * rng.uniform(0.8, 1.2)
        kept += took_s <= told.finish_p90_s
        forecaster.ended(told, took_s)
    return kept / jobs


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_nine_in_ten_jobs_keep_their_p90_whatever_the_workers_do(factor: float) -> None:
    forecaster = Forecaster()
    taught(forecaster, jobs=400, factor=factor)

    assert 0.85 <= taught(forecaster, jobs=1000, factor=factor) <= 0.97


def test_before_anything_is_known_little_is_promised() -> None:
    assert Confidence.LOW is estimate().confidence


def test_many_kept_estimates_make_a_high_confidence() -> None:
    forecaster = Forecaster()
    taught(forecaster, jobs=800, factor=1.0)

    assert Confidence.HIGH is forecaster.estimate(PACE, 20).confidence


def test_estimates_that_turn_bad_are_hidden_until_they_are_good_again() -> None:
    forecaster = Forecaster()
    taught(forecaster, jobs=400, factor=1.0)
    before = forecaster.is_bad
    for one in [forecaster.estimate(PACE, 20) for _ in range(200)]:
        forecaster.ended(one, 5 * one.expected_s)

    during = forecaster.is_bad
    taught(forecaster, jobs=800, factor=5.0)

    assert [False, True, False] == [before, during, forecaster.is_bad]


def test_a_few_jobs_hide_nothing() -> None:
    forecaster = Forecaster()
    one = forecaster.estimate(PACE, 0)

    forecaster.ended(one, 100.0)

    assert (forecaster.share_kept, forecaster.is_bad, forecaster.late) == (None, False, 1)
