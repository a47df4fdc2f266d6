"""Who is blamed when a process dies, and who is not."""

from collections.abc import Callable

import pytest

from headrace.store_work import ClaimedJob
from workers.suspects import Suspects, is_suspect


def job(*, attempts: int, rescues: int) -> ClaimedJob:
    return ClaimedJob("default/j1", 7, attempts, 3, 0, b"x", rescues=rescues)


def anybody(slot: int) -> bool:
    return bool(slot)


@pytest.mark.parametrize(
    ("attempts", "rescues", "suspected"),
    [(0, 0, False), (2, 0, False), (0, 1, False), (1, 1, False), (2, 1, True), (0, 2, True)],
)
def test_a_job_is_suspected_for_the_workers_lost_with_it_not_for_attempts(
    attempts: int, rescues: int, suspected: bool
) -> None:
    assert suspected is is_suspect(job(attempts=attempts, rescues=rescues))


def test_everybody_in_the_process_is_suspected_and_nobody_convicted() -> None:
    suspects = Suspects()

    assert [] == suspects.process_died([1, 2, 3])
    assert [True, True, True, False] == [slot in suspects for slot in (1, 2, 3, 4)]


def test_suspects_run_one_after_another() -> None:
    suspects = Suspects()
    suspects.process_died([1, 2])

    assert (1, None) == (suspects.next(anybody), suspects.next(anybody))
    suspects.forget(1)

    assert 2 == suspects.next(anybody)


def test_a_suspect_whose_model_is_not_ready_lets_others_go_first() -> None:
    suspects = Suspects()
    suspects.process_died([1, 2])
    only_second: Callable[[int], bool] = (2).__eq__

    assert 2 == suspects.next(only_second)


def test_who_was_alone_when_the_process_died_again_is_convicted() -> None:
    suspects = Suspects()
    suspects.process_died([1, 2])
    suspects.next(anybody)

    assert [1] == suspects.process_died([1])
    suspects.forget(1)
    assert 2 == suspects.next(anybody)


def test_one_death_convicts_nobody() -> None:
    assert [] == Suspects().process_died([1])


def test_one_death_convicts_who_was_alone_and_has_no_second_chance() -> None:
    assert [1] == Suspects().process_died([1], final=[1])
    assert [] == Suspects().process_died([1, 2], final=[1, 2])


def test_a_claimed_suspect_needs_two_deaths_here_as_well() -> None:
    suspects = Suspects()
    suspects.add(1)

    assert [[], [1]] == [suspects.process_died([1]) for _ in range(2)]


def test_nobody_is_convicted_in_company_however_often() -> None:
    suspects = Suspects()

    assert [[], [], []] == [suspects.process_died([1, 2]) for _ in range(3)]


def test_after_a_death_the_turn_is_open_again() -> None:
    suspects = Suspects()
    suspects.process_died([1, 2])
    suspects.next(anybody)

    suspects.process_died([], waiting=[1, 2])

    assert not suspects.is_tried(1)
    assert 1 == suspects.next(anybody)


def test_the_death_of_another_process_leaves_the_turn_where_it_is() -> None:
    suspects = Suspects()
    suspects.add(1)
    suspects.next(lambda _: True)

    suspects.process_died([7], waiting=[8])

    assert suspects.is_tried(1)
