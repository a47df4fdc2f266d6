"""Which jobs that wait for spot machines are to be moved for their deadlines, and where."""

import pytest

from headrace.model_ref import ModelRef
from headrace.store_care import Hastening
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from scheduler.deadline_risk import DeadlineRisk
from scheduler.observation import ClassLoad, Observation, QueueLoad

REF = ModelRef("m", 1)
URGENT = (Tier.PRIORITY, Tier.STANDARD)
CLASSES = {
    "on-demand": WorkerClass(tiers=URGENT, max_workers=4),
    "spot": WorkerClass(tiers=(Tier.SPOT,), is_spot=True, max_workers=4),
}
TIMES = {str(REF): 0.5}


def seen(*queues: QueueLoad, ready: int = 0) -> Observation:
    refuge = ClassLoad(ready=1, cold_start_s=20.0, job_s=TIMES, pass_s={str(REF): 2.0})
    return Observation(queues, {"on-demand": refuge, "spot": ClassLoad(ready=ready, job_s=TIMES)})


def spot(waiting: int, held: int = 0) -> QueueLoad:
    return QueueLoad(REF, Tier.SPOT, waiting, held, 0.0)


def test_a_job_needs_a_cold_start_and_three_passes_and_waits_for_those_before_it() -> None:
    [row] = DeadlineRisk(classes=CLASSES).hastenings(seen(spot(10), ready=2))

    assert Hastening("m@1:spot", Tier.STANDARD, 10, each_ms=250.0, needs_ms=26_000.0, least_ms=2_000.0) == row
    assert 28_500.0 == row.horizon_ms


def test_without_a_ready_spot_worker_one_is_reckoned_with() -> None:
    [row] = DeadlineRisk(classes=CLASSES).hastenings(seen(spot(10)))

    assert 500.0 == row.each_ms


def test_work_of_other_models_for_the_same_workers_is_waited_for_too() -> None:
    other = QueueLoad(ModelRef("other", 1), Tier.SPOT, 0, 500, 0.0)

    [row] = DeadlineRisk(classes=CLASSES).hastenings(seen(spot(10), other, ready=1))

    assert 500.0 + 1000.0 == pytest.approx(row.each_ms)


def test_nothing_that_waits_for_other_tiers_is_moved() -> None:
    queues = [QueueLoad(REF, tier, 9, 0, 0.0) for tier in URGENT]

    assert () == DeadlineRisk(classes=CLASSES).hastenings(seen(*queues, spot(0)))


def test_where_spot_jobs_run_on_demand_anyway_none_is_moved() -> None:
    classes = {name: kind.model_copy(update={"is_spot": False}) for name, kind in CLASSES.items()}

    assert () == DeadlineRisk(classes=classes).hastenings(seen(spot(9)))


def test_a_tier_that_is_paused_is_no_refuge() -> None:
    [row] = DeadlineRisk(classes=CLASSES).hastenings(seen(spot(9))._replace(paused={"m@1:standard": 3}))

    assert Tier.PRIORITY is row.tier


def test_a_tier_that_spot_machines_are_scaled_for_is_no_refuge() -> None:
    classes = {**CLASSES, "spot": WorkerClass(tiers=(Tier.SPOT, Tier.STANDARD), is_spot=True)}
    dear = {**classes, "on-demand": WorkerClass(max_workers=4, price_per_hour=1.0)}

    [row] = DeadlineRisk(classes=dear).hastenings(seen(spot(9)))

    assert Tier.PRIORITY is row.tier


@pytest.mark.parametrize(
    "kind",
    [WorkerClass(tiers=URGENT, models=("other",)), WorkerClass(tiers=URGENT, min_workers=0, max_workers=0)],
    ids=["another model", "no worker"],
)
def test_where_nobody_else_may_run_it_a_job_stays(kind: WorkerClass) -> None:
    assert () == DeadlineRisk(classes={**CLASSES, "on-demand": kind}).hastenings(seen(spot(9)))


def test_a_pass_that_nobody_measured_takes_as_long_as_a_job() -> None:
    assert 0.5 == ClassLoad(job_s=TIMES).pass_of(REF)
    assert 2.0 == ClassLoad(job_s=TIMES, pass_s={str(REF): 2.0}).pass_of(REF)
