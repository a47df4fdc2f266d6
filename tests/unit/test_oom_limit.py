"""What a model's memory has room for is learnt from failures, and forgotten only with reason."""

import math

import pytest

from workers.device_mark import DeviceMark, device_mark
from workers.oom_limit import OomLimit

GIB = 2**30
GPU = DeviceMark("a card", "13.0", 80 * GIB)


def failed_at(cost: float) -> OomLimit:
    limit = OomLimit()
    limit.failed(cost)
    return limit


def test_without_a_failure_everything_may_run() -> None:
    assert OomLimit().allows(1e300)


def test_after_a_failure_batches_stay_a_tenth_below_it() -> None:
    limit = failed_at(100)

    assert (True, False) == (limit.allows(90), limit.allows(91))


def test_the_limit_comes_back_slowly_while_batches_fill_it() -> None:
    limit = failed_at(100)

    for _ in range(200):
        limit.passed(90, items=9)

    assert pytest.approx(94.5) == limit.cost


def test_it_never_comes_back_to_what_failed() -> None:
    limit = failed_at(100)

    for _ in range(10_000):
        limit.passed(limit.cost, items=9)

    assert (True, False) == (limit.allows(99.9), limit.allows(100))


def test_small_batches_do_not_bring_it_back() -> None:
    limit = failed_at(100)

    for _ in range(1000):
        limit.passed(45, items=9)

    assert 90 == limit.cost


def test_a_failure_between_clean_passes_starts_the_count_again() -> None:
    limit = failed_at(100)

    for _ in range(199):
        limit.passed(90, items=9)
    limit.failed(89)
    limit.passed(80, items=9)

    assert pytest.approx(0.9 * 89) == limit.cost


def test_a_pass_as_large_as_the_one_that_failed_lifts_it() -> None:
    limit = failed_at(100)

    limit.passed(100, items=1)

    assert limit.allows(1e300)


def test_it_is_written_down_and_read_again() -> None:
    limit = failed_at(100)
    limit.be_on(GPU)

    again = OomLimit.from_bytes(limit.to_bytes())
    again.be_on(GPU)
    same = again.cost
    again.passed(100, items=1)

    assert (90, math.inf) == (same, again.cost)
    assert math.inf == OomLimit.from_bytes(OomLimit().to_bytes()).cost


@pytest.mark.parametrize(
    ("device", "is_kept"),
    [
        (GPU, True),
        (GPU._replace(memory_bytes=76 * GIB), True),
        (GPU._replace(memory_bytes=60 * GIB), False),
        (GPU._replace(driver="13.1"), False),
        (GPU._replace(name="another"), False),
    ],
)
def test_it_is_forgotten_on_another_device_driver_or_free_memory(device: DeviceMark, *, is_kept: bool) -> None:
    limit = failed_at(100)
    limit.be_on(GPU)

    again = OomLimit.from_bytes(limit.to_bytes())
    again.be_on(device)

    assert is_kept is (again.cost == 90)


def test_the_processor_has_a_mark() -> None:
    mark = device_mark("cpu")

    assert "cpu" == mark.name
    assert mark.is_like(device_mark("cpu"))
    assert mark.memory_bytes > GIB / 4


@pytest.mark.parametrize("raw", [b"{", b"[]", b'{"cost": 1}', b'{"cost": "1", "failed_at": 2}'])
def test_what_is_no_limit_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"limit|JSON|expected|EOF|unexpected"):
        OomLimit.from_bytes(raw)


# --- one item alone


def test_what_costs_as_much_as_an_item_that_failed_alone_is_too_large() -> None:
    limit = OomLimit()

    limit.item_failed(50)
    limit.item_failed(70)

    assert 50 == limit.alone


def test_an_item_that_fails_though_larger_ones_went_through_says_nothing_of_others() -> None:
    limit = OomLimit()
    limit.items_passed(60)

    limit.item_failed(50)

    assert math.inf == limit.alone


def test_one_as_large_that_goes_through_shows_that_it_was_not_for_its_cost() -> None:
    limit = OomLimit()
    limit.item_failed(50)

    limit.items_passed(50)

    assert math.inf == limit.alone


def test_what_is_too_large_alone_is_forgotten_on_another_device() -> None:
    limit = OomLimit()
    limit.be_on(GPU)
    limit.item_failed(50)

    limit.be_on(GPU._replace(memory_bytes=160 * GIB))

    assert math.inf == limit.alone
