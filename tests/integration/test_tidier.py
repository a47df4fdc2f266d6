"""The tidier: keys that somebody else wrote to are set apart, and everything goes on."""

import json

import pytest
from redis import ResponseError

from headrace.keys import Keys
from headrace.settings import Settings
from headrace.store_submissions import SubmitOutcome
from headrace.sync_redis import SyncRedis
from scheduler.loop import Scheduler
from scheduler.tidier import Tidier
from tests.integration.script_cell import STANDARD, Cell


@pytest.fixture
def tidier(keys: Keys, connection: SyncRedis) -> Tidier:
    return Tidier(keys=keys, connection=connection)


def test_a_key_of_another_type_is_set_apart_listed_counted_and_kept_for_a_day(cell: Cell, tidier: Tidier) -> None:
    cell.redis.set(cell.keys.leases, "not ours")

    tidier.step()

    [stray] = [json.loads(entry) for entry in cell.redis.lrange(cell.keys.strays, 0, -1)]
    assert (0, 1) == (cell.redis.exists(cell.keys.leases), cell.stat("strays"))
    assert (cell.keys.leases, "a string where a zset belongs") == (stray["where"], stray["why"])
    assert cell.redis.get(stray["head"]) == b"not ours"
    assert 86_000 < cell.redis.ttl(stray["head"]) <= 86_400


def test_keys_of_groups_and_tenants_are_looked_after_too(cell: Cell, tidier: Tidier) -> None:
    cell.submit("first")
    for key in (cell.keys.ready(STANDARD, "default"), cell.keys.turn(STANDARD), cell.keys.index("default")):
        cell.redis.delete(key)
        cell.redis.set(key, "not ours")

    tidier.step()
    tidier.step()

    assert cell.submit("second").outcome is SubmitOutcome.ACCEPTED
    assert cell.take() != []


def test_a_queue_that_nobody_knows_any_more_is_looked_after_once_a_job_was_refused_there(
    cell: Cell, tidier: Tidier
) -> None:
    cell.redis.set(cell.keys.ready(STANDARD, "default"), "not ours")
    with pytest.raises(ResponseError):
        cell.submit("refused")

    tidier.step()
    tidier.step()

    assert cell.submit("accepted").outcome is SubmitOutcome.ACCEPTED


def test_what_is_no_name_is_taken_out_of_the_names(cell: Cell, tidier: Tidier) -> None:
    cell.submit("a")
    cell.redis.zadd(cell.keys.groups, {b"\xff": 1, b"no group": 2})
    cell.redis.sadd(cell.keys.tenants, b"\xff")

    tidier.step()

    assert ([STANDARD], ["default"]) == (cell.run(cell.store.groups()), cell.run(cell.store.tenants()))
    assert cell.stat("strays") == 3


def test_what_is_in_order_is_left_alone(cell: Cell, tidier: Tidier) -> None:
    cell.submit("a")
    before = cell.redis.keys(cell.keys.prefix + "*")

    tidier.step()
    tidier.step()

    assert set(before) == set(cell.redis.keys(cell.keys.prefix + "*"))


def test_a_key_of_another_type_is_set_apart_by_the_scheduler(cell: Cell, connection: SyncRedis, redis_url: str) -> None:
    settings = Settings(redis_url=redis_url, cell=cell.keys.cell)
    cell.redis.hset(cell.keys.leader, "not", "ours")
    scheduler = Scheduler(settings=settings, connection=connection)

    scheduler.tick()

    assert scheduler.is_leading
    scheduler.resign()
