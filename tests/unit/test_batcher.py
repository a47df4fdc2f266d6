"""Which jobs run together."""

from workers.batcher import Batch, Batcher, Limits, WaitingJob
from workers.cost_model import CostModel


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


def test_clear_forgets_everything() -> None:
    batcher = Batcher()
    batcher.add("a", jobs(1), alone=True)
    batcher.add("a", jobs(2))

    batcher.clear()

    assert slots_of_next(batcher, a=4) == []
