"""A failing pass is taken apart: the guilty fail, the others succeed, in a bounded number of passes."""

import gc
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.jobs import Cause
from workers.failures import ItemResult
from workers.isolation import Isolated, Isolation, failing_passes
from workers.oom_limit import OomLimit


class Passes:
    """A `forward` that fails with `error` for a batch that `fails`; it remembers what it was given."""

    def __init__(self, fails: Callable[[Sequence[int]], bool], error: Exception | None = None) -> None:
        self.seen: list[list[int]] = []
        self._fails = fails
        self._error = error or ValueError("no")

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.seen.append(list(items))
        if self._fails(items):
            raise self._error
        return [2 * item for item in items]


def isolation(forward: Callable[[Sequence[Any]], Sequence[Any]], limit: OomLimit | None = None) -> Isolation:
    return Isolation(name="m@1", forward=forward, limit=limit or OomLimit())


def ends(isolated: Isolated) -> list[Any]:
    """Each item's row, or the cause of its failure."""
    return [row.cause if isinstance(row, ItemResult) else row for row in isolated.rows]


@pytest.mark.parametrize("place", range(32))
def test_one_culprit_in_32_costs_at_most_twelve_passes(place: int) -> None:
    isolated = isolation(Passes(lambda items: place in items)).run(range(32))

    assert [Cause.MODEL if i == place else 2 * i for i in range(32)] == ends(isolated)
    assert isolated.runs <= 12


@given(st.integers(1, 70), st.sets(st.integers(0, 69)))
def test_any_culprits_fail_alone_within_the_bound(items: int, guilty: set[int]) -> None:
    passes = Passes(lambda batch: not guilty.isdisjoint(batch))

    isolated = isolation(passes).run(range(items))

    assert [Cause.MODEL if i in guilty else 2 * i for i in range(items)] == ends(isolated)
    assert isolated.runs == len(passes.seen) <= items + failing_passes(items)


def test_a_model_that_always_fails_costs_little_more_than_a_pass_per_item() -> None:
    assert isolation(Passes(lambda _: True)).run(range(32)).runs <= 32 + 12


def test_an_empty_batch_takes_no_pass() -> None:
    assert Isolated([], 0) == isolation(Passes(lambda _: True)).run([])


def too_large(limit: int) -> Passes:
    return Passes(lambda items: len(items) > limit, MemoryError())


def test_no_pass_runs_out_of_memory_twice_at_the_same_size() -> None:
    passes = too_large(10)
    isolated = isolation(passes, OomLimit())

    for _ in range(100):
        assert [2 * i for i in range(32)] == ends(isolated.run(range(32)))

    failed = [len(items) for items in passes.seen if len(items) > 10]
    assert sorted(failed, reverse=True) == failed
    assert len(failed) == len(set(failed)) <= 4


def test_a_batch_over_the_limit_is_divided_before_it_runs() -> None:
    limit = OomLimit()
    limit.failed(20)
    passes = too_large(16)

    isolation(passes, limit).run(range(32))

    assert [16, 16] == [len(items) for items in passes.seen]


def test_the_limit_is_in_padded_cost() -> None:
    passes = Passes(lambda items: len(items) * max(items) > 100, MemoryError())
    isolated = isolation(passes)

    isolated.run([60, 2, 2, 2], [60, 2, 2, 2])

    assert 0.9 * 120 == pytest.approx(isolated.limit.cost)
    assert [[60, 2, 2, 2], [60, 2], [60], [2], [2, 2]] == passes.seen


def test_an_item_that_never_fits_leaves_the_limit_alone() -> None:
    isolated = isolation(Passes(lambda items: 7 in items, MemoryError()))

    found = isolated.run(range(16))

    assert [Cause.OOM if i == 7 else 2 * i for i in range(16)] == ends(found)
    assert isolated.limit.allows(10**9)
    assert found.runs <= 12


def test_nothing_of_a_failed_pass_is_kept_while_the_next_one_runs() -> None:
    class Tensor:
        pass

    refs: list[weakref.ref[Tensor]] = []
    alive: list[int] = []

    def forward(items: Sequence[int]) -> list[int]:
        gc.disable()
        alive.append(sum(ref() is not None for ref in refs))
        activations = Tensor()
        refs.append(weakref.ref(activations))
        if len(items) > 1:
            raise ValueError("no")
        return list(items)

    try:
        isolation(forward).run(range(4))
    finally:
        gc.enable()

    assert [0] * 7 == alive
