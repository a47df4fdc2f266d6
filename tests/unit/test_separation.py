"""Which model versions get a process of their own."""

from workers.separation import Separation


def test_who_brings_the_shared_process_down_twice_runs_apart() -> None:
    separation = Separation()

    first = separation.shared_process_died(["a@1"])
    second = separation.shared_process_died(["a@1", "a@1"])

    assert (None, "a@1") == (first, second)
    assert "a@1" in separation


def test_who_was_there_with_others_is_not_to_blame() -> None:
    separation = Separation()

    for _ in range(5):
        separation.shared_process_died(["a@1", "b@1"])
        separation.shared_process_died([])

    assert "a@1" not in separation
    assert "b@1" not in separation


def test_a_death_in_company_counts_for_who_is_there_alone_the_next_time() -> None:
    separation = Separation()
    separation.shared_process_died(["a@1", "b@1"])

    assert "a@1" == separation.shared_process_died(["a@1"])
    assert "b@1" not in separation


def test_each_version_has_its_own_count() -> None:
    separation = Separation()

    assert [None, None] == [separation.shared_process_died([ref]) for ref in ("a@1", "a@2")]


def test_whose_author_wants_it_runs_apart_from_the_start() -> None:
    separation = Separation()

    separation.declare(["a@1"])

    assert "a@1" in separation
