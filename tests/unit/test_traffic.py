"""Which versions get new jobs after a change, and what is refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import InvalidInput
from registry.traffic import Traffic, promoted, with_alias, with_canary, with_shadow, withdrawn

ONE = Traffic({1: 100}, {})
weights = st.dictionaries(st.integers(1, 50), st.integers(1, 100), min_size=1, max_size=8)


def test_a_promoted_version_gets_everything() -> None:
    assert promoted(Traffic({1: 90, 2: 10}, {}), 2) == Traffic({2: 100}, {})


def test_a_canary_takes_its_share_and_leaves_the_rest_in_proportion() -> None:
    table = with_canary(Traffic({1: 60, 2: 30}, {}), 3, percent=10)

    assert table.routes == {1: 60, 2: 30, 3: 10}


def test_a_larger_canary_replaces_the_smaller_one() -> None:
    assert with_canary(with_canary(ONE, 2, percent=5), 2, percent=25).routes == {1: 75, 2: 25}


@given(routes=weights, percent=st.integers(1, 92))
def test_shares_add_up_to_a_hundred_and_nobody_loses_all(routes: dict[int, int], percent: int) -> None:
    table = with_canary(Traffic(routes, {}), 99, percent=percent)

    assert sum(table.routes.values()) == 100
    assert table.routes[99] == percent
    assert set(table.shares) == {*routes, 99}


def test_what_is_withdrawn_goes_to_the_others() -> None:
    assert withdrawn(Traffic({1: 90, 2: 10}, {}), 2) == Traffic({1: 100}, {})


def test_a_version_that_an_alias_means_stays_without_traffic() -> None:
    table = promoted(with_alias(ONE, "stable", 1), 2)

    assert table == Traffic({1: 0, 2: 100}, {"stable": 1})
    assert with_alias(table, "stable", None) == Traffic({2: 100}, {})


def test_a_shadow_stays_without_traffic_until_it_is_ended_or_gets_some() -> None:
    table = with_alias(with_shadow(ONE, 2, percent=10), "stable", 1)

    assert (table.shadows, table.shares) == ({2: 10}, {1: 100})
    assert table.routes == {1: 100, 2: 0}
    assert with_shadow(table, 2, percent=0) == with_alias(ONE, "stable", 1)
    assert with_canary(table, 2, percent=5).shadows == {}
    assert promoted(table, 3).shadows == {2: 10}


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        (lambda: with_canary(ONE, 2, percent=0), "0 % is no canary"),
        (lambda: with_canary(ONE, 2, percent=100), "promote the version"),
        (lambda: with_canary(ONE, 1, percent=10), "needs another version beside it"),
        (lambda: withdrawn(ONE, 2), "gets no traffic"),
        (lambda: withdrawn(ONE, 1), "gets all traffic"),
        (lambda: with_shadow(ONE, 2, percent=101), "101 % is no share"),
        (lambda: with_shadow(ONE, 1, percent=10), "only one that gets none can be a shadow"),
        (lambda: with_alias(ONE, "3", 1), "is no alias"),
        (lambda: with_alias(ONE, "Prod", 1), "is no alias"),
        (lambda: with_alias(ONE, "prod", None), "there is no alias 'prod'"),
    ],
)
def test_what_makes_no_sense_is_refused(refused: Any, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        refused()
