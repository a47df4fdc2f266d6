"""What holds for the batcher whatever arrives."""

from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from workers.admission import WINDOW_BATCHES
from workers.batcher import PATIENCE, Batch, Batcher, Limits, WaitingJob
from workers.cost_model import CostModel
from workers.waiting import TIERS

costs = st.sampled_from([1.0, 2.0, 3.0, 10.0, 64.0, 100.0, 1000.0])
tiers = st.integers(min_value=0, max_value=TIERS - 1)
arrivals = st.lists(st.tuples(st.sampled_from("ab"), tiers, costs, st.booleans()), min_size=1, max_size=80)
deadlines = st.sampled_from([0.5, 2.0, float("inf")])


def informed() -> CostModel:
    model = CostModel()
    for cost in [8.0, 8.0, 8.0, 16.0, 64.0, 128.0, 8.0, 16.0, 256.0, 512.0]:
        model.observe(cost, 1, 0.01 + 0.001 * max(cost - 32, 0))
    return model


def drain(batcher: Batcher, limits: dict[str, Limits]) -> Iterator[Batch]:
    while (batch := batcher.next_batch(1.0, limits)) is not None:
        assert isinstance(batch, Batch)
        yield batch


@settings(max_examples=80, deadline=None)
@given(arrivals, st.integers(1, 16), st.booleans(), st.data())
def test_every_job_runs_exactly_once_within_the_limits(
    jobs: list[tuple[str, int, float, bool]], most: int, sized: bool, data: st.DataObject
) -> None:
    batcher = Batcher()
    price = {}
    apart = data.draw(st.sets(st.integers(0, 9), max_size=4))
    for slot, (ref, tier, cost, known) in enumerate(jobs):
        batcher.add(ref, [WaitingJob(slot, b"", tier, data.draw(deadlines))], apart=apart)
        if known:
            price[slot] = cost
            batcher.prepared(slot, cost)
    budget = data.draw(st.sampled_from([200.0, float("inf")]))
    limits = {ref: Limits(informed(), max_batch=most, sized=sized, max_cost=budget) for ref in "ab"}

    batches = list(drain(batcher, limits))

    assert list(range(len(jobs))) == sorted(job.slot for batch in batches for job in batch.jobs)
    for batch in batches:
        assert {batch.ref} == {jobs[job.slot][0] for job in batch.jobs}
        assert 1 <= len(batch.jobs) <= most
        assert len(batch.jobs) == 1 or apart.isdisjoint(job.slot for job in batch.jobs)
        known_costs = [price.get(job.slot, 0.0) for job in batch.jobs] if sized else [1.0] * len(batch.jobs)
        assert len(batch.jobs) == 1 or len(batch.jobs) * max(known_costs) <= budget
        assert batch.cost == (len(batch.jobs) * max(known_costs) if all(known_costs) else 0.0)


@settings(max_examples=40, deadline=None)
@given(st.lists(costs, min_size=1, max_size=60), st.lists(costs, min_size=1, max_size=4), st.integers(1, 8))
def test_no_length_starves(waiting: list[float], flood: list[float], most: int) -> None:
    batcher = Batcher()
    limits = {"a": Limits(informed(), max_batch=most, sized=True)}
    _add(batcher, list(enumerate(waiting)), tier=1)
    left = set(range(len(waiting)))

    for number in range(len(waiting)):
        fresh = [((number + 1) * 1000 + i, flood[i % len(flood)]) for i in range(most)]
        _add(batcher, fresh, tier=1)
        batch = batcher.next_batch(1.0, limits)
        assert isinstance(batch, Batch)
        left -= {job.slot for job in batch.jobs}

    assert not left


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.sampled_from("ab"), st.integers(1, 8))
def test_no_tier_starves_however_many_urgent_jobs_arrive(count: int, urgent: str, most: int) -> None:
    batcher = Batcher()
    limits = {ref: Limits(informed(), max_batch=most, sized=True) for ref in "ab"}
    _add(batcher, [(slot, 1000.0) for slot in range(count)], tier=2)
    left = set(range(count))

    for number in range(count * (PATIENCE + 1)):
        _add(batcher, [((number + 1) * 1000 + i, 1.0) for i in range(most)], tier=0, ref=urgent)
        batch = batcher.next_batch(1.0, limits)
        assert isinstance(batch, Batch)
        left -= {job.slot for job in batch.jobs}

    assert not left


@settings(max_examples=40, deadline=None)
@given(st.lists(costs, min_size=2, max_size=100), st.integers(2, 8))
def test_the_head_of_the_order_is_in_every_batch(waiting: list[float], most: int) -> None:
    batcher = Batcher()
    limits = {"a": Limits(informed(), max_batch=most, sized=True)}
    _add(batcher, list(enumerate(waiting)), tier=1)
    left = list(range(len(waiting)))

    for batch in drain(batcher, limits):
        taken = [job.slot for job in batch.jobs]
        assert left[0] in taken
        assert set(taken) <= set(left[: WINDOW_BATCHES * most])
        left = [slot for slot in left if slot not in taken]


def _add(batcher: Batcher, priced: list[tuple[int, float]], *, tier: int, ref: str = "a") -> None:
    batcher.add(ref, [WaitingJob(slot, b"", tier) for slot, _ in priced])
    for slot, cost in priced:
        batcher.prepared(slot, cost)
