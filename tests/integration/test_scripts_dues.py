"""Which of the jobs that wait are due soon, as the scheduler sees it."""

import pytest

from headrace.groups import group_of
from headrace.store_views import DueJobs
from headrace.tiers import Tier
from tests.integration.script_cell import SPOT, STANDARD, Cell

#: Stretches of time, in seconds from now.
UNTIL_S = (30.0, 60.0, 90.0)


def dues(cell: Cell, *, most: int = 64) -> dict[str, list[tuple[int, int]]]:
    """Jobs, and tens of seconds until they are due on average, by group."""
    found: dict[str, list[tuple[int, int]]] = {}
    rows: list[DueJobs] = cell.run(cell.store.dues(UNTIL_S, most=most))
    for group, jobs, in_s in rows:
        found.setdefault(group, []).append((jobs, round(in_s / 10)))
    return found


def submit(cell: Cell, name: str, in_s: float, *, tier: Tier = Tier.STANDARD) -> None:
    cell.submit(name, tier=tier, deadline_ms=cell.now_ms() + round(1000 * in_s))


def test_jobs_that_are_due_are_counted_by_group_and_time(cell: Cell) -> None:
    for name, in_s in (("a", 10), ("b", 26), ("c", 80), ("far", 200)):
        submit(cell, name, in_s)
    submit(cell, "bulk", 50, tier=Tier.SPOT)
    cell.submit("patient")

    # Of two in a stretch the mean.
    assert {STANDARD: [(2, 2), (1, 8)], SPOT: [(1, 5)]} == dues(cell)


def test_what_a_worker_holds_or_has_ended_is_not_due_any_more(cell: Cell) -> None:
    submit(cell, "held", 10)
    cell.claim()
    submit(cell, "canceled", 10)
    cell.cancel("default/canceled")

    assert {} == dues(cell)


def test_of_many_in_one_stretch_some_stand_for_all(cell: Cell) -> None:
    for number in range(30):
        submit(cell, f"j{number}", 36 + number / 4, tier=Tier.SPOT if number % 2 else Tier.STANDARD)

    found = dues(cell, most=10)

    [(standard, when)], [(spot, _)] = found[STANDARD], found[SPOT]
    assert (15, 15, 4) == (standard, spot, when)


@pytest.mark.parametrize("tier", list(Tier))
def test_without_deadlines_there_is_nothing(cell: Cell, tier: Tier) -> None:
    cell.submit("a", tier=tier)

    assert {} == dues(cell)
    assert group_of(cell.job("default/a").ref, tier) not in dues(cell)
