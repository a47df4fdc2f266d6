"""Which jobs run together."""

import pytest

from workers.batcher import PATIENCE, Batch, Batcher, Limits, WaitingJob
from workers.cost_model import WARM_UP, CostModel


def jobs(*slots: int) -> list[WaitingJob]:
    return [WaitingJob(slot, b"x") for slot in slots]


def limits(**max_batch: int) -> dict[str, Limits]:
    return {ref: Limits(CostModel(), max_batch=most) for ref, most in max_batch.items()}


def slots_of_next(batcher: Batcher, **max_batch: int) -> list[int]:
    batch = batcher.next_batch(0.0, limits(**max_batch))
    return [job.slot for job in batch.jobs] if isinstance(batch, Batch) else []


def test_nothing_waiting_gives_no_batch() -> None:
    assert None is Batcher().next_batch(0.0, limits(a=4))


def test_a_single_job_runs_at_once() -> None:
    batcher = Batcher()
    batcher.add("a", jobs(1))

    assert slots_of_next(batcher, a=4) == [1]


def test_a_batch_takes_everything_up_to_the_models_limit_in_order() -> None:
    batcher = Batcher()
    batcher.add("a", jobs(1, 2))
    batcher.add("a", jobs(3, 4, 5))

    assert slots_of_next(batcher, a=4) == [1, 2, 3, 4]
    assert slots_of_next(batcher, a=4) == [5]
    assert slots_of_next(batcher, a=4) == []


def test_a_batch_never_mixes_two_models() -> None:
    batcher = Batcher()
    batcher.add("a", jobs(1))
    batcher.add("b", jobs(2))
    batcher.add("a", jobs(3))

    first = batcher.next_batch(0.0, limits(a=4, b=4))

    assert isinstance(first, Batch)
    assert ("a", jobs(1, 3)) == (first.ref, first.jobs)
    assert slots_of_next(batcher, a=4, b=4) == [2]


def test_the_model_of_the_oldest_job_comes_first() -> None:
    batcher = Batcher()
    batcher.add("b", jobs(1))
    batcher.add("a", jobs(2))

    assert slots_of_next(batcher, a=4, b=4) == [1]


def test_suspects_run_one_by_one_after_everything_else() -> None:
    batcher = Batcher()
    batcher.add("a", jobs(1, 2), alone=True)
    batcher.add("a", jobs(3, 4))

    assert slots_of_next(batcher, a=4) == [3, 4]
    assert slots_of_next(batcher, a=4) == [1]
    assert slots_of_next(batcher, a=4) == [2]


def test_a_suspect_follows_each_batch_however_much_else_arrives() -> None:
    batcher = Batcher()
    batcher.add("a", jobs(1, 2), alone=True)
    order = []
    for slot in range(10, 14):
        batcher.add("a", jobs(slot))
        order.append(slots_of_next(batcher, a=4))

    assert [[10], [1], [11, 12], [2]] == order


def test_a_job_apart_runs_by_itself_in_its_turn_and_those_around_it_together() -> None:
    batcher = Batcher()
    batcher.add("a", jobs(1, 2, 3, 4), apart=[1, 3])
    batcher.add("a", jobs(5))
    order = [slots_of_next(batcher, a=4) for _ in range(4)]

    assert [[1], [2, 4, 5], [3], []] == order


def test_jobs_apart_share_no_batch_with_each_other_either() -> None:
    batcher = Batcher()
    batcher.add("a", jobs(1, 2), apart=[1, 2])

    assert [[1], [2]] == [slots_of_next(batcher, a=4) for _ in range(2)]


def test_a_job_apart_goes_by_its_tier() -> None:
    batcher = Batcher()
    batcher.add("a", [WaitingJob(1, b"", tier=2), WaitingJob(2, b"", tier=0)], apart=[1, 2])
    batcher.add("a", [WaitingJob(3, b"", tier=1)])

    assert [[2], [3], [1]] == [slots_of_next(batcher, a=4) for _ in range(3)]


def test_a_job_apart_waits_for_no_company_and_says_nothing_of_the_best_size() -> None:
    batcher = Batcher()
    batcher.add("a", jobs(1, 2, 3, 4, 5), apart=[1])
    costs = CostModel()
    bounds = {"a": Limits(costs, max_batch=4, max_wait_s=(0.0, 9.0, 9.0))}
    first, second = batcher.next_batch(0.0, bounds), batcher.next_batch(0.0, bounds)

    assert isinstance(first, Batch)
    assert isinstance(second, Batch)
    assert (jobs(1), 1.0, jobs(2, 3, 4, 5)) == (first.jobs, first.cost, second.jobs)


def test_a_removed_job_apart_does_not_run() -> None:
    batcher = Batcher()
    batcher.add("a", jobs(1, 2), apart=[1])
    batcher.remove(1)

    assert [2] == slots_of_next(batcher, a=4)
    assert batcher.is_empty


def test_of_a_job_apart_nothing_need_be_known_before_it_runs() -> None:
    batcher = Batcher()
    batcher.add("a", jobs(1), apart=[1])
    bounds = {"a": Limits(CostModel(), max_batch=4, sized=True)}

    assert None is batcher.wanted(bounds)
    assert [("a", jobs(1)[0])] == batcher.unprepared(5)


def test_clear_forgets_everything() -> None:
    batcher = Batcher()
    batcher.add("a", jobs(1), alone=True)
    batcher.add("a", jobs(2))

    batcher.clear()

    assert slots_of_next(batcher, a=4) == []


def test_higher_tiers_go_first_whatever_the_model() -> None:
    batcher = Batcher()
    batcher.add("a", [WaitingJob(1, b"", tier=2), WaitingJob(2, b"", tier=1)])
    batcher.add("b", [WaitingJob(3, b"", tier=0)])

    assert [3] == slots_of_next(batcher, a=1, b=1)
    assert [2] == slots_of_next(batcher, a=1, b=1)
    assert [1] == slots_of_next(batcher, a=1, b=1)


def test_the_oldest_job_leads_a_batch_after_it_was_passed_over_often_enough() -> None:
    batcher = Batcher()
    batcher.add("b", [WaitingJob(0, b"", tier=2)])
    order = []
    for slot in range(1, PATIENCE + 2):
        batcher.add("a", [WaitingJob(slot, b"", tier=0)])
        order += slots_of_next(batcher, a=1, b=1)

    assert [*range(1, PATIENCE + 1), 0] == order


def test_a_model_without_limits_gets_batches_of_one() -> None:
    batcher = Batcher()
    batcher.add("a", jobs(1, 2))

    assert slots_of_next(batcher) == [1]


def test_a_removed_job_does_not_run() -> None:
    batcher = Batcher()
    batcher.add("a", jobs(1, 2, 3))
    batcher.add("a", jobs(4), alone=True)
    batcher.remove(2)
    batcher.remove(4)
    batcher.remove(99)

    assert slots_of_next(batcher, a=4) == [1, 3]
    assert batcher.is_empty


def test_what_is_not_prepared_is_listed_in_the_order_in_which_it_is_wanted() -> None:
    batcher = Batcher()
    batcher.add("a", jobs(1, 2))
    batcher.add("b", [WaitingJob(3, b"", tier=0), WaitingJob(4, b"", tier=2)])
    batcher.prepared(1, 10.0)
    batcher.prepared(99, 10.0)

    assert [3, 4, 2] == [job.slot for _, job in batcher.unprepared(5)]
    assert [("b", 3)] == [(ref, job.slot) for ref, job in batcher.unprepared(1)]


def test_before_a_batch_of_sized_jobs_as_many_as_may_run_together_should_be_prepared() -> None:
    batcher = Batcher()
    batcher.add("a", jobs(1, 2, 3, 4))
    batcher.prepared(2, 10.0)
    sized = {"a": Limits(CostModel(), max_batch=3, sized=True)}

    assert ("a", jobs(1, 3)) == batcher.wanted(sized)
    assert batcher.wanted(limits(a=3)) is None

    batcher.prepared(1, 10.0)
    batcher.prepared(3, 10.0)
    assert batcher.wanted(sized) is None


def test_staged_work_is_told_in_seconds() -> None:
    batcher, costs = Batcher(), CostModel()
    for _ in range(WARM_UP + 1):
        costs.observe(4, 4, 0.2)
    batcher.add("a", jobs(*range(12)))
    batcher.add("unknown", jobs(100))

    staged_s = batcher.staged_s({"a": Limits(costs, max_batch=4, sized=True)})

    assert staged_s == pytest.approx(0.6)
    assert batcher.staged_s({"a": Limits(costs, max_batch=4)}) == 0
    assert Batcher().staged_s({}) == 0


def test_who_leads_goes_before_the_others_of_its_tier_in_the_order_of_arrival() -> None:
    batcher = Batcher()
    batcher.add("a", [WaitingJob(1, b"", tier=1), WaitingJob(2, b"", tier=1)])
    batcher.add("a", [WaitingJob(3, b"", tier=1, leads=True), WaitingJob(4, b"", tier=2, leads=True)])
    batcher.add("a", [WaitingJob(5, b"", tier=1, leads=True), WaitingJob(6, b"", tier=0)])

    slots = []
    while isinstance(batch := batcher.next_batch(0.0, {}), Batch):
        slots += [job.slot for job in batch.jobs]

    assert slots == [6, 3, 5, 1, 2, 4]


def test_a_model_with_a_job_that_leads_goes_first() -> None:
    batcher = Batcher()
    batcher.add("a", [WaitingJob(1, b"")])
    batcher.add("b", [WaitingJob(2, b"", leads=True)])

    batch = batcher.next_batch(0.0, {})

    assert isinstance(batch, Batch)
    assert batch.ref == "b"
