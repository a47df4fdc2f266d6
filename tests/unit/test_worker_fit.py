"""Which worker class runs which model version."""

import pytest

from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from headrace.worker_fit import NOTHING, Needs, has_larger, misfit, nowhere
from scheduler.demand import demands
from scheduler.homes import Homes
from scheduler.observation import ClassLoad, Observation, QueueLoad

GB = 1_000_000_000
SMALL = WorkerClass(memory_bytes=4 * GB, price_per_hour=0.2)
LARGE = WorkerClass(device="cuda", memory_bytes=60 * GB, price_per_hour=1.9, labels=("nvlink",))
CLASSES = {"large": LARGE, "small": SMALL}


@pytest.mark.parametrize(
    ("needs", "why"),
    [
        (NOTHING, ""),
        (Needs(memory_bytes=4 * GB), ""),
        (Needs(memory_bytes=5 * GB), "needs 5,000 MB, and there are 4,000 MB"),
        (Needs(outgrown_bytes=3 * GB), ""),
        (Needs(outgrown_bytes=4 * GB), "has outgrown 4,000 MB, and there are 4,000 MB"),
        (Needs(device="cuda"), "runs on cuda only, and the device is cpu"),
        (Needs(labels=("nvlink", "eu")), "needs a worker with the label eu and nvlink"),
    ],
)
def test_a_class_says_what_it_lacks(needs: Needs, why: str) -> None:
    assert why == misfit(SMALL, needs)


def test_a_class_without_a_limit_takes_any_size() -> None:
    assert "" == misfit(WorkerClass(), Needs(memory_bytes=500 * GB))


@pytest.mark.parametrize(
    ("needs", "home"),
    [
        (NOTHING, "small"),
        (Needs(memory_bytes=5 * GB), "large"),
        (Needs(device="cuda"), "large"),
        (Needs(labels=("nvlink",)), "large"),
        (Needs(memory_bytes=500 * GB), None),
        (Needs(outgrown_bytes=4 * GB), "large"),
        (Needs(outgrown_bytes=60 * GB), None),
    ],
)
def test_the_cheapest_class_that_a_model_fits_is_scaled_for_it(needs: Needs, home: str | None) -> None:
    queue = QueueLoad(ModelRef("cat", 1), Tier.STANDARD, waiting=7, held=0, arrivals=0.0, needs=needs)

    assert home == Homes(classes=CLASSES).of(queue, dict.fromkeys(CLASSES, ClassLoad()))


def test_the_work_of_a_model_that_is_too_large_for_the_small_class_counts_with_the_larger() -> None:
    ref, loads = ModelRef("cat", 1), dict.fromkeys(CLASSES, ClassLoad())
    queue = QueueLoad(ref, Tier.STANDARD, waiting=7, held=0, arrivals=0.0, needs=Needs(memory_bytes=5 * GB))

    found = demands(Observation((queue,), loads), CLASSES, Homes(classes=CLASSES))

    assert {"large": 7, "small": 0} == {name: demand.jobs for name, demand in found.items()}


def test_what_no_class_can_run_has_a_reason_for_each_and_what_one_can_has_none() -> None:
    small = {"a": SMALL, "b": SMALL.model_copy(update={"models": ("dog",)})}

    assert "no worker class can run it: a: it runs on cuda only, and the device is cpu" == nowhere(
        small, "cat", Tier.STANDARD, Needs(device="cuda")
    )
    assert "" == nowhere(CLASSES, "cat", Tier.STANDARD, Needs(device="cuda"))
    assert "" == nowhere({}, "cat", Tier.STANDARD, Needs(device="cuda"))


@pytest.mark.parametrize(
    ("size_bytes", "changes", "is_there"),
    [
        (4 * GB, {}, True),
        (60 * GB, {}, False),
        (0, {}, False),
        (4 * GB, {"models": ("dog",)}, False),
        (4 * GB, {"tiers": (Tier.SPOT,)}, False),
        (4 * GB, {"min_workers": 0, "max_workers": 0}, False),
        (4 * GB, {"memory_bytes": 0}, True),
    ],
)
def test_a_job_is_passed_on_only_to_a_larger_class_that_would_run_it(
    size_bytes: int, changes: dict[str, object], is_there: bool
) -> None:
    classes = {"small": SMALL, "large": LARGE.model_copy(update=changes)}

    assert is_there == has_larger(classes, size_bytes, "cat", Tier.STANDARD, NOTHING)
