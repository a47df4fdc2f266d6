"""Fairness keys: in one tenant's queue those whose jobs wait take turns, job by job."""

from itertools import groupby

import pytest

from headrace.groups import group_of
from headrace.store_submissions import SubmitOutcome
from headrace.tiers import OFFSET_MS, Tier
from tests.integration.old_scripts import OldCell
from tests.integration.script_cell import REF, SPOT, STANDARD, Cell, new_job

FAR_MS = 10_000_000


def submit(cell: Cell, key: str, count: int, *, first: int = 0, tier: Tier = Tier.STANDARD) -> None:
    """Jobs `<key><number>` in one call."""
    names = [f"{key or 'n'}{number}" for number in range(first, first + count)]
    jobs = [new_job(name, fairness_key=key, tier=tier) for name in names]
    cell.run(cell.store.submit_many(jobs, cap=10_000))


def served(cell: Cell, count: int) -> list[str]:
    """Which jobs come next, claimed one by one."""
    return [cell.claim(jobs=1).jobs[0].member.partition("/")[2] for _ in range(count)]


def keys_of(names: list[str]) -> str:
    """The first letters of names."""
    return "".join(name[0] for name in names)


def test_a_key_that_comes_behind_a_flood_of_another_is_in_the_round_after_this_one(cell: Cell) -> None:
    submit(cell, "a", 100)
    served(cell, 10)

    submit(cell, "b", 1)

    assert ["a10", "a11", "b0"] == served(cell, 3)


def test_keys_that_wait_take_turns_however_many_jobs_each_has(cell: Cell) -> None:
    submit(cell, "a", 100)
    submit(cell, "b", 10)
    submit(cell, "c", 5)

    names = served(cell, 20)

    assert "a" + "abc" * 5 + "ab" * 2 == keys_of(names)


def test_jobs_of_a_key_keep_their_order(cell: Cell) -> None:
    submit(cell, "a", 20)
    submit(cell, "b", 5)
    submit(cell, "a", 5, first=20)

    names = [name for name in served(cell, 30) if name.startswith("a")]

    assert [f"a{number}" for number in range(25)] == names


def test_turns_go_on_while_jobs_come_and_go(cell: Cell) -> None:
    submit(cell, "a", 20)
    names = []
    for number in range(10):
        submit(cell, "b", 2, first=2 * number)
        names += served(cell, 3)

    shares = {key: len([name for name in names if name.startswith(key)]) for key in "ab"}
    assert max(shares.values()) - min(shares.values()) <= 2


def test_a_key_that_was_idle_saves_nothing_up(cell: Cell) -> None:
    submit(cell, "a", 100)
    submit(cell, "b", 1)
    served(cell, 40)

    submit(cell, "b", 20, first=1)

    longest = max(len(list(run)) for _, run in groupby(keys_of(served(cell, 30))))
    assert longest <= 2


def test_jobs_without_a_key_share_one_once_there_are_keys(cell: Cell) -> None:
    submit(cell, "a", 10)
    submit(cell, "", 10)
    submit(cell, "b", 3)

    names = served(cell, 10)

    assert ["abn"] * 3 == ["".join(sorted(keys_of(names[at : at + 3]))) for at in (1, 4, 7)]


def test_what_waited_before_the_first_key_came_is_served_before_it(cell: Cell) -> None:
    submit(cell, "", 5)

    submit(cell, "a", 2)

    assert "nnnnnaa" == keys_of(served(cell, 7))


def test_the_queue_forgets_its_keys_once_it_is_empty(cell: Cell) -> None:
    submit(cell, "a", 3)
    served(cell, 3)

    submit(cell, "", 2)

    assert [0, 0] == [cell.redis.exists(key(STANDARD, "default")) for key in (cell.keys.rounds, cell.keys.flows)]


def test_keys_that_come_but_once_do_not_keep_others_waiting(cell: Cell) -> None:
    submit(cell, "a", 3)

    names = []
    for number in range(20):
        submit(cell, f"k{number:02}", 1)
        names += served(cell, 1)

    assert {"a0", "a1", "a2"} <= set(names)


def test_what_is_kept_of_keys_is_no_more_than_what_waits(cell: Cell) -> None:
    submit(cell, "a", 3)
    for number in range(30):
        submit(cell, f"k{number:02}", 1)
        served(cell, 1)

    kept = [cell.redis.zcard(key(STANDARD, "default")) for key in (cell.keys.rounds, cell.keys.flows)]
    waiting = len(cell.ready())
    assert all(count <= waiting + 2 for count in kept), (kept, waiting)


def test_rounds_are_as_old_as_what_waits_in_them(cell: Cell) -> None:
    """Else a queue that is never empty would come before fresh jobs of the tier above."""
    submit(cell, "a", 2)
    for number in range(20):
        submit(cell, "a", 1, first=2 + number)
        submit(cell, "b", 1, first=number)
        served(cell, 2)
    before = cell.now_ms()

    submit(cell, "a", 1, first=50)

    scores = [score for _, score in cell.redis.zrange(cell.keys.ready(STANDARD, "default"), 0, -1, withscores=True)]
    assert scores[-1] >= before + OFFSET_MS[Tier.STANDARD]


def test_a_deadline_still_moves_a_job_forward(cell: Cell) -> None:
    submit(cell, "a", 5)
    cell.submit("pressing", fairness_key="a", deadline_ms=cell.now_ms() + 1000)

    assert "pressing" == served(cell, 1)[0]


def test_a_job_that_was_given_back_has_its_turn_again(cell: Cell) -> None:
    submit(cell, "a", 3)
    submit(cell, "b", 3)
    [first] = cell.claim(jobs=1).jobs
    cell.run(cell.store.release([first.lease]))

    assert first.member == "default/a0"
    assert ["a0", "a1", "b0", "a2", "b1"] == served(cell, 5)


def test_a_job_for_later_comes_by_its_time(cell: Cell) -> None:
    cell.submit("later", fairness_key="a", not_before_ms=cell.now_ms() + FAR_MS)

    assert cell.job("default/later").score == pytest.approx(cell.now_ms() + FAR_MS + OFFSET_MS[Tier.STANDARD], abs=5000)
    assert cell.redis.exists(cell.keys.rounds(STANDARD, "default")) == 0


def test_changing_what_is_noted_beside_it_costs_a_job_no_turn(cell: Cell) -> None:
    submit(cell, "a", 10)
    submit(cell, "b", 10)
    score = cell.job("default/b3").score

    cell.amend("default/b3", metadata=b'{"x":"y"}')
    cell.amend("default/b3", deadline_ms=cell.now_ms() + FAR_MS)

    assert score == cell.job("default/b3").score
    assert "a" + "ab" * 5 == keys_of(served(cell, 11))


def test_a_job_that_changes_its_tier_takes_a_turn_there(cell: Cell) -> None:
    submit(cell, "a", 10, tier=Tier.SPOT)
    submit(cell, "b", 1)

    cell.amend("default/b0", tier=Tier.SPOT)

    assert cell.redis.zrank(cell.keys.ready(SPOT, "default"), "default/b0") == 2


def test_the_place_of_a_key_is_known_before_it_submits(cell: Cell) -> None:
    submit(cell, "a", 50)
    submit(cell, "b", 3)
    score = cell.now_ms() + OFFSET_MS[Tier.STANDARD]

    places = [cell.run(cell.store.place("default", STANDARD, score, [], fairness_key=key)).own for key in ("", *"abc")]

    # Without a key it is the last, as with that of the flood; b has three already, in rounds two to four.
    assert places == [53, 53, 8, 3]


def test_other_tenants_keys_are_others(cell: Cell) -> None:
    submit(cell, "a", 5)
    cell.submit("x", tenant="other", fairness_key="a")

    assert cell.redis.zcard(cell.keys.rounds(STANDARD, "other")) == 1
    assert cell.redis.zscore(cell.keys.flows(STANDARD, "default"), "a") == 5


def test_a_submission_sent_again_takes_no_second_turn(cell: Cell) -> None:
    submit(cell, "a", 3)
    before = cell.redis.zscore(cell.keys.flows(STANDARD, "default"), "a")

    answer = cell.submit("a0", fairness_key="a")

    assert answer.outcome is SubmitOutcome.ACCEPTED
    assert before == cell.redis.zscore(cell.keys.flows(STANDARD, "default"), "a")


@pytest.mark.parametrize("family", ["rounds", "flows"])
@pytest.mark.parametrize("garbage", ["string", "members"])
def test_foreign_values_there_stop_nobody(cell: Cell, family: str, garbage: str) -> None:
    submit(cell, "a", 3)
    key = getattr(cell.keys, family)(STANDARD, "default")
    cell.redis.delete(key)
    if garbage == "string":
        cell.redis.set(key, "x")
    else:
        cell.redis.zadd(key, {"x": 1e300, "b": -5})

    submit(cell, "b", 2)
    submit(cell, "", 2)

    assert {"a0", "a1", "a2", "b0", "b1", "n0", "n1"} == set(served(cell, 7))


def test_the_record_says_whose_it_is(cell: Cell) -> None:
    submit(cell, "a", 2)
    submit(cell, "", 1)

    assert ["a", "a", ""] == [cell.job(f"default/{name}").fairness_key for name in ("a0", "a1", "n0")]
    assert not cell.redis.hexists(cell.keys.job("default/n0"), "F")


def test_jobs_of_an_earlier_release_come_by_their_arrival(cell: Cell) -> None:
    submit(cell, "a", 2)
    OldCell(cell).submit("old")

    submit(cell, "a", 2, first=2)

    assert ["a0", "a1", "old"] == served(cell, 3)


def test_a_tier_takes_turns_by_itself(cell: Cell) -> None:
    submit(cell, "a", 5)
    submit(cell, "a", 4, first=5, tier=Tier.SPOT)

    groups = [group_of(REF, tier) for tier in (Tier.STANDARD, Tier.SPOT)]
    assert [5, 4] == [cell.redis.zscore(cell.keys.flows(group, "default"), "a") for group in groups]
