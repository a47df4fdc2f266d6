"""The best number of equal items, found by trying."""

import math
import random
from collections.abc import Callable

import pytest

from workers.batch_size import BatchSize
from workers.batcher import Batch, Batcher, Limits, WaitingJob
from workers.cost_model import CostModel

MOST = 64
Curve = Callable[[int], float]

#: Seconds of a batch by its items.
CURVES: dict[str, Curve] = {
    "a floor that dominates": lambda n: 0.01 + 0.0001 * n,
    "flat to a knee, then proportional": lambda n: 0.008 + 0.001 * max(n - 16, 0),
    "growing faster than its size": lambda n: 0.005 + 0.0001 * n + 0.00003 * n * n,
    "a cliff": lambda n: 0.01 if n <= 48 else 0.03,
    "steps of sixteen": lambda n: 0.001 + 0.004 * math.ceil(n / 16),
    "best alone": lambda n: 0.002 * n**1.5,
}


def throughput_after(batches: int, curve: Curve, *, noise: float, seed: int) -> float:
    """Items a second of 100 batches from a backlog, after so many others; noise only slows."""
    rng = random.Random(seed)
    model, batcher = CostModel(), Batcher()
    limits = {"a": Limits(model, max_batch=MOST)}
    items = spent_s = 0.0
    for number in range(batches + 100):
        batcher.add("a", [WaitingJob(number * MOST + i, b"") for i in range(MOST)])
        batch = batcher.next_batch(0.0, limits)
        assert isinstance(batch, Batch)
        size = len(batch.jobs)
        model.observe(batch.cost, size, curve(size) * math.exp(abs(rng.gauss(0, noise))))
        if number >= batches:
            items, spent_s = items + size, spent_s + curve(size)
    return items / spent_s


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("noise", [0.0, 0.03])
def test_after_fifty_batches_throughput_is_within_five_percent_of_the_best_size(name: str, noise: float) -> None:
    curve = CURVES[name]
    best = max(size / curve(size) for size in range(1, MOST + 1))

    found = [throughput_after(50, curve, noise=noise, seed=seed) for seed in range(3)]

    assert min(found) >= 0.95 * best


def test_the_first_batches_are_as_large_as_may_be() -> None:
    assert BatchSize().choose(MOST) == MOST


def test_a_model_that_takes_no_time_gets_full_batches() -> None:
    rng = random.Random(4)
    sizes = BatchSize()
    for _ in range(200):
        chosen = sizes.choose(MOST)
        sizes.observe(chosen, rng.uniform(1e-6, 2e-5))

    assert sizes.choose(MOST) == MOST


def test_a_machine_that_became_slower_at_large_sizes_is_followed() -> None:
    sizes = BatchSize()
    for _ in range(100):
        sizes.observe(sizes.choose(MOST), 0.01)
    for _ in range(400):
        chosen = sizes.choose(MOST)
        sizes.observe(chosen, 0.01 if chosen <= 32 else 0.1)

    assert sizes.choose(MOST) <= 32


def test_one_stall_does_not_decide_for_ever() -> None:
    sizes = BatchSize()
    sizes.observe(MOST, 5.0)
    for _ in range(600):
        chosen = sizes.choose(MOST)
        sizes.observe(chosen, 0.01)

    assert sizes.choose(MOST) > MOST * 0.9


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_never_more_than_asked_for(most: int) -> None:
    sizes = BatchSize()
    for _ in range(50):
        sizes.observe(sizes.choose(MOST), 0.01)

    assert all(1 <= sizes.choose(most) <= most for _ in range(60))
