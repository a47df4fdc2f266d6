"""The second level of residency: models that make way on the device may stay in host memory."""

import pytest

from headrace.tiers import Tier
from workers.model_choice import KAPPA, Backlog
from workers.residency import NOTHING, Footprint, Plan, Residency

MB = 1_000_000
LONG_AGO = -1e6
MUCH, LITTLE = 1000, 1


def waiting(jobs: int, oldest_s: float = 0.0) -> list[Backlog]:
    return [Backlog(Tier.STANDARD, jobs, oldest_s)]


def with_host_memory(*refs: str, host_bytes: int = 100 * MB, can_park: bool = True) -> Residency:
    """As `holding`, and those that go may stay in host memory; a load takes 10 s."""
    residency = Residency(budget_bytes=100 * MB, host_bytes=host_bytes)
    for used, ref in enumerate(refs, start=1):
        footprint = Footprint(40 * MB, load_s=10.0, can_park=can_park)
        residency.loaded(ref, footprint, used_bytes=40 * MB * used, now=LONG_AGO)
        residency.ran(ref, used, job_s=0.1, now=0.0)
    residency.expect("c", Footprint(40 * MB, load_s=10.0))
    residency.saw({"c": waiting(MUCH)})
    return residency


def park_one(*, took_s: float = 1.0) -> Residency:
    """One that has parked `a` for `c`."""
    residency = with_host_memory("a", "b")
    residency.plan(["c"], busy=(), now=0.0)
    residency.parked("a", 40 * MB, took_s, used_bytes=40 * MB, now=0.0)
    assert Plan(load=("c",)) == residency.plan(["a", "c"], busy=(), now=0.0)
    footprint = Footprint(40 * MB, load_s=10.0, can_park=True)
    residency.loaded("c", footprint, used_bytes=80 * MB, now=0.0)
    return residency


def test_what_makes_way_on_the_device_is_parked_where_it_can_be() -> None:
    assert Plan(park=("a",)) == with_host_memory("a", "b").plan(["c"], busy=(), now=0.0)


@pytest.mark.parametrize("without", [{"host_bytes": 0}, {"host_bytes": 39 * MB}, {"can_park": False}])
def test_what_has_no_place_in_host_memory_or_cannot_be_there_is_unloaded(without: dict[str, int]) -> None:
    residency = with_host_memory("a", "b", **without)  # type: ignore[arg-type]

    assert Plan(unload=("a",)) == residency.plan(["c"], busy=(), now=0.0)


def test_what_was_said_not_to_be_parked_is_unloaded_also_after_its_next_load() -> None:
    residency = with_host_memory("a", "b")

    residency.do_not_park("a")
    first = residency.plan(["c"], busy=(), now=0.0)
    residency.loaded("a", Footprint(40 * MB, load_s=10.0, can_park=True), used_bytes=80 * MB, now=LONG_AGO)

    assert Plan(unload=("a",)) == first
    assert not residency.footprint("a").can_park


def test_what_is_parked_takes_nothing_of_the_device() -> None:
    residency = park_one()

    assert residency.is_parked("a")
    residency.expect("d", Footprint(20 * MB))
    assert Plan(load=("d",)) == residency.plan(["d"], busy=(), now=0.0)


def test_what_is_parked_comes_back_for_as_much_work_as_a_copy_is_worth() -> None:
    residency = park_one(took_s=1.0)
    # The copy of whoever makes way is paid for, too.
    enough = int(KAPPA * 2 * 1.0 / 0.1)

    assert 1.0 == residency.next_load_s("a")
    residency.saw({"a": waiting(enough - 1), "b": waiting(LITTLE)})
    assert NOTHING == residency.plan(["a"], busy=(), now=100.0)
    residency.saw({"a": waiting(enough), "b": waiting(LITTLE)})
    assert NOTHING != residency.plan(["a"], busy=(), now=100.0)


def test_a_return_is_rested_from_by_its_own_time_and_that_is_what_the_next_one_is_thought_to_take() -> None:
    residency = park_one(took_s=1.0)
    residency.saw({"a": waiting(MUCH)})
    residency.unloaded("b", used_bytes=40 * MB)

    back = Footprint(40 * MB, load_s=10.0, return_s=3.0, can_park=True)
    residency.loaded("a", back, used_bytes=80 * MB, now=100.0)
    residency.ran("c", 1000, job_s=0.1, now=100.0)

    assert not residency.is_parked("a")
    residency.expect("b", Footprint(40 * MB))
    residency.saw({"b": waiting(MUCH)})
    assert NOTHING == residency.plan(["b"], busy=(), now=105.9)
    assert Plan(park=("a",)) == residency.plan(["b"], busy=(), now=106.1)
    residency.parked("a", 40 * MB, 1.0, used_bytes=40 * MB, now=107.0)
    assert 3.0 == residency.next_load_s("a")


def test_host_memory_is_freed_before_another_is_parked_there() -> None:
    residency = with_host_memory("a", "b", host_bytes=40 * MB)
    residency.plan(["c"], busy=(), now=0.0)
    residency.parked("a", 40 * MB, 1.0, used_bytes=40 * MB, now=0.0)
    residency.loaded("c", Footprint(40 * MB, load_s=10.0, can_park=True), used_bytes=80 * MB, now=0.0)
    residency.ran("c", 1, job_s=0.1, now=0.0)
    residency.expect("d", Footprint(40 * MB))
    residency.saw({"d": waiting(MUCH)})

    assert Plan(unload=("a",), park=("b",)) == residency.plan(["d"], busy=(), now=100.0)


def test_a_process_that_died_has_lost_what_was_parked_in_it() -> None:
    residency = park_one()

    residency.process_lost(["a", "b", "c"])

    assert not residency.is_parked("a")
    assert 10.0 == residency.next_load_s("a")
