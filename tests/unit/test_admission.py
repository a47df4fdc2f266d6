"""Which jobs share a batch with the head of the order."""

import math

import pytest

from workers.admission import Limits
from workers.batcher import Batch, Batcher, Wait, WaitingJob
from workers.cost_model import WARM_UP, CostModel
from workers.hinge import Hinge

#: Filling costs from the first unit on; a batch takes as long as 20 units beyond its work.
STEEP = Hinge(floor_s=0.02, slope_s=0.001, knee=0)
#: Up to a cost of 1000 a batch takes as long as one job.
FLAT = Hinge(floor_s=0.1, slope_s=0.001, knee=1000)


def informed(curve: Hinge) -> CostModel:
    model = CostModel()
    for _ in range(WARM_UP):
        model.observe(1, 1, 1.0)
    for cost in [10.0, 100.0, 1000.0, 2000.0, 4000.0] * 4:
        model.observe(cost, 1, curve.t(cost))
    return model


def waiting(*costs: float | None, tier: int = 1, deadline_s: float = math.inf) -> Batcher:
    batcher = Batcher()
    add(batcher, *costs, tier=tier, deadline_s=deadline_s)
    return batcher


def add(batcher: Batcher, *costs: float | None, first: int = 0, tier: int = 1, deadline_s: float = math.inf) -> None:
    batcher.add("a", [WaitingJob(first + i, b"", tier, deadline_s) for i in range(len(costs))])
    for slot, cost in enumerate(costs, start=first):
        if cost is not None:
            batcher.prepared(slot, cost)


def next_of(batcher: Batcher, limits: Limits, now: float = 0.0) -> Batch:
    batch = batcher.next_batch(now, {"a": limits})
    assert isinstance(batch, Batch)
    return batch


def slots(batcher: Batcher, limits: Limits, now: float = 0.0) -> list[int]:
    return [job.slot for job in next_of(batcher, limits, now).jobs]


def sized(curve: Hinge | None = STEEP, *, max_cost: float = math.inf, memory_cost: float = math.inf) -> Limits:
    costs = CostModel() if curve is None else informed(curve)
    return Limits(costs, max_batch=4, sized=True, max_cost=max_cost, memory_cost=memory_cost)


def test_company_is_what_costs_about_as_much_as_the_head() -> None:
    batcher = waiting(100, 10, 101, 11, 99, 12, 100)

    assert [0, 6, 2, 4] == slots(batcher, sized())


def test_a_job_that_would_cause_much_filling_stays_behind() -> None:
    assert [0, 2] == slots(waiting(100, 1000, 100), sized())


def test_where_filling_is_free_everything_joins() -> None:
    assert [0, 2, 1] == slots(waiting(100, 200, 10), sized(FLAT))


def test_jobs_of_one_cost_always_fit_together() -> None:
    assert [0, 1, 2, 3] == slots(waiting(100, 100, 100, 100), sized())


@pytest.mark.parametrize(("cost", "joins"), [(100, True), (80, True), (59, False)])
def test_while_nothing_is_known_of_the_time_a_fifth_may_be_filling(cost: float, joins: bool) -> None:
    assert ([0, 1] if joins else [0]) == slots(waiting(100, cost), sized(None))


@pytest.mark.parametrize("limits", [sized(max_cost=300.0), sized(memory_cost=300.0)])
def test_the_padded_batch_stays_within_the_budget(limits: Limits) -> None:
    batch = next_of(waiting(100, 100, 100, 100), limits)

    assert (3, 300.0) == (len(batch.jobs), batch.cost)


def test_a_job_above_the_budget_runs_by_itself() -> None:
    assert [0] == slots(waiting(500, 10, 500), sized(FLAT, max_cost=300.0))


def test_a_batch_stops_growing_where_batches_did_less_a_second() -> None:
    costs = CostModel()
    for cost in [100.0, 200.0, 300.0, 600.0, 1200.0] * 4:
        costs.observe(cost, 1, 0.001 * cost * (4 if cost > 300 else 1))

    assert [0, 1, 2] == slots(waiting(100, 100, 100, 100), Limits(costs, max_batch=4, sized=True))


def test_the_batch_says_its_cost_and_how_long_it_should_take() -> None:
    batch = next_of(waiting(100, 90), sized(FLAT))

    assert batch.cost == 200
    assert batch.expected_s == pytest.approx(0.1, rel=0.05)


def test_unprepared_jobs_go_in_order_with_one_another() -> None:
    batcher = waiting(None, None, 100, None)

    assert [0, 1, 3] == slots(batcher, sized())
    assert [2] == slots(batcher, sized())


def test_an_unprepared_job_goes_alone_where_the_cost_is_limited() -> None:
    assert [0] == slots(waiting(None, None), sized(max_cost=1000.0))


def test_unprepared_jobs_do_not_join_a_prepared_head() -> None:
    assert [0, 2] == slots(waiting(100, None, 100), sized())


def test_without_costs_of_the_author_every_job_costs_one() -> None:
    batch = next_of(waiting(None, 1000, 1), Limits(CostModel(), max_batch=4))

    assert (3, 3.0) == (len(batch.jobs), batch.cost)


def test_company_stops_where_a_member_would_miss_its_deadline() -> None:
    batcher = waiting(100, 100, 100, 100, deadline_s=0.35)

    assert [0, 1] == slots(batcher, sized())


def test_a_late_job_has_no_say_and_still_runs() -> None:
    batcher = waiting(100, 100, 100, 100, deadline_s=0.01)

    assert [0, 1, 2, 3] == slots(batcher, sized())


def test_a_deadline_counts_without_costs_too() -> None:
    limits = Limits(informed(Hinge(0.1, 0.1, 0)), max_batch=64)
    batcher = waiting(*[None] * 20, deadline_s=1.0)

    assert 4 <= len(slots(batcher, limits)) <= 9


def test_higher_tiers_are_asked_first_and_lower_ones_fill_up() -> None:
    batcher = waiting(100, 100, 100, tier=2)
    add(batcher, 100, 98, first=10, tier=0)

    assert [10, 11, 0, 1] == slots(batcher, sized())


def test_an_urgent_job_overtakes_jobs_that_are_prepared_already() -> None:
    batcher = waiting(100, 100, tier=2)
    add(batcher, None, first=10, tier=0)

    assert [10] == slots(batcher, sized())


def test_by_default_nobody_waits_for_company() -> None:
    assert [0] == slots(waiting(100), sized())


def patient(*, max_cost: float = math.inf) -> Limits:
    return sized(FLAT, max_cost=max_cost)._replace(max_wait_s=(0.0, 0.05, 0.5))


def test_a_lone_job_waits_for_company_if_its_tier_may() -> None:
    standard, spot = waiting(100), waiting(100, tier=2)

    assert [Wait(0.05), Wait(0.5)] == [batcher.next_batch(0.0, {"a": patient()}) for batcher in (standard, spot)]
    assert [0] == slots(standard, patient(), now=0.05)


def test_a_priority_job_never_waits_and_whom_it_leads_neither() -> None:
    batcher = waiting(100)
    add(batcher, 100, first=10, tier=0)

    assert [10, 0] == slots(batcher, patient())


def test_no_wait_where_another_model_could_run() -> None:
    batcher = waiting(100)
    batcher.add("b", [WaitingJob(5, b"")])

    assert [0] == slots(batcher, patient())


def test_no_wait_for_a_batch_that_is_full() -> None:
    assert [0, 1, 2, 3] == slots(waiting(100, 100, 100, 100), patient())


def test_no_wait_where_no_more_fits_the_budget() -> None:
    assert [0] == slots(waiting(100), patient(max_cost=150.0))


def test_a_wait_ends_in_time_for_the_deadline() -> None:
    wait = waiting(100, tier=2, deadline_s=0.3).next_batch(0.0, {"a": patient()})

    assert isinstance(wait, Wait)
    assert 0.1 < wait.until_s <= 0.2


def test_no_wait_where_a_larger_batch_would_hardly_do_more() -> None:
    assert [0] == slots(waiting(3000), sized(STEEP)._replace(max_wait_s=(0.0, 0.05, 0.5)))
