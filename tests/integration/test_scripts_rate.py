"""Requests are counted in buckets of tokens, of their tenant and of their key, whichever process they come to."""

from collections.abc import Sequence

import pytest

from headrace.tenant_store import Bucket, Rate, Taken, TenantStore
from tests.integration.script_cell import Cell

RATE = Rate(per_s=2, burst=3)


def take(cell: Cell, *, tenant: str = "acme", rate: Rate = RATE) -> Taken:
    [taken] = take_of_all(cell, Bucket(tenant, rate))
    return taken


def take_of_all(cell: Cell, *buckets: Bucket) -> Sequence[Taken]:
    return cell.run(TenantStore(cell.keys).take(buckets))


def pass_time(cell: Cell, ms: int) -> None:
    key = cell.keys.requests("acme")
    cell.redis.hset(key, "m", int(cell.redis.hget(key, "m")) - ms)


def test_a_burst_is_allowed_and_no_more(cell: Cell) -> None:
    answers = [take(cell) for _ in range(4)]

    assert [True, True, True, False] == [taken.is_allowed for taken in answers]
    assert [2, 1, 0, 0] == [taken.left for taken in answers]
    assert 0 < answers[-1].next_ms <= 500


def test_tokens_come_back_at_the_rate_and_only_up_to_the_burst(cell: Cell) -> None:
    for _ in range(3):
        take(cell)

    pass_time(cell, 1_000)
    assert [True, True, False] == [take(cell).is_allowed for _ in range(3)]
    pass_time(cell, 1_000_000)
    assert [True, True, True, False] == [take(cell).is_allowed for _ in range(4)]


def test_a_refusal_costs_nothing(cell: Cell) -> None:
    for _ in range(20):
        take(cell)

    pass_time(cell, 500)

    assert take(cell).is_allowed


def test_one_tenants_requests_are_nobody_elses(cell: Cell) -> None:
    for _ in range(4):
        take(cell)

    assert take(cell, tenant="rival").is_allowed


def test_a_bucket_that_is_full_again_is_gone(cell: Cell) -> None:
    take(cell)

    assert 0 < cell.redis.pttl(cell.keys.requests("acme")) <= 2_500


@pytest.mark.parametrize("value", ["string", "list"])
def test_what_somebody_else_put_there_limits_nobody(cell: Cell, value: str) -> None:
    key = cell.keys.requests("acme")
    cell.redis.set(key, "x") if value == "string" else cell.redis.rpush(key, "x")

    assert [True] * 5 == [take(cell).is_allowed for _ in range(5)]


def test_fields_that_are_no_numbers_are_a_full_bucket(cell: Cell) -> None:
    cell.redis.hset(cell.keys.requests("acme"), mapping={"t": "x", "m": "y"})

    assert take(cell).left == 2


TENANT = Bucket("acme", RATE)
NARROW, WIDE = Bucket("acme:k1", Rate(per_s=1, burst=1)), Bucket("acme:k2", Rate(per_s=9, burst=9))


def test_a_request_takes_a_token_of_each_bucket(cell: Cell) -> None:
    assert [(True, 2), (True, 8)] == [taken[:2] for taken in take_of_all(cell, TENANT, WIDE)]
    assert [(True, 1), (True, 7)] == [taken[:2] for taken in take_of_all(cell, TENANT, WIDE)]


def test_where_one_bucket_is_empty_none_is_taken_of_the_other(cell: Cell) -> None:
    take_of_all(cell, TENANT, NARROW)

    refused = [take_of_all(cell, TENANT, NARROW) for _ in range(5)][-1]

    assert [(True, 2), (False, 0)] == [taken[:2] for taken in refused]
    assert 0 < refused[1].next_ms <= 1_000
    assert [True, True] == [take(cell).is_allowed for _ in range(2)]


def test_keys_of_one_tenant_have_buckets_of_their_own(cell: Cell) -> None:
    take_of_all(cell, TENANT, NARROW)

    assert [True, True] == [taken.is_allowed for taken in take_of_all(cell, TENANT, WIDE)]


def test_somebody_elses_value_in_one_bucket_leaves_the_other_its_bound(cell: Cell) -> None:
    cell.redis.set(cell.keys.requests("acme"), "x")

    answers = [take_of_all(cell, TENANT, NARROW) for _ in range(2)]

    assert [[True, True], [True, False]] == [[taken.is_allowed for taken in answer] for answer in answers]
