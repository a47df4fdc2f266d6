"""One scheduler leads at a time; a lead that was lost cannot be used any more."""

import time
from collections.abc import Mapping
from typing import Any

import pytest

from headrace.homes import Manners, read_manners
from headrace.keys import Keys
from headrace.scaling import ScalingChange, ScalingReport
from headrace.sync_redis import SyncRedis
from scheduler.leadership import Lead, Leadership

REPORT = ScalingReport(at_ms=1, scheduler="first", classes=())


def candidate(keys: Keys, name: str, *, ttl_ms: int = 60_000) -> Leadership:
    return Leadership(keys=keys, scheduler=name, ttl_ms=ttl_ms)


@pytest.fixture
def first(keys: Keys) -> Leadership:
    return candidate(keys, "first")


@pytest.fixture
def second(keys: Keys) -> Leadership:
    return candidate(keys, "second")


def desired(connection: SyncRedis, keys: Keys) -> Mapping[bytes, bytes]:
    found: Mapping[bytes, bytes] = connection.client.hgetall(keys.desired)  # type: ignore[assignment]  # typed for async too
    return found


def test_the_first_to_ask_leads_and_the_second_learns_who(
    connection: SyncRedis, first: Leadership, second: Leadership
) -> None:
    lead = connection.run(first.take())

    answer = connection.run(second.take())

    assert lead.fence > 0
    assert Lead(0, "first") == answer


def test_a_leader_keeps_its_fence_while_it_speaks(connection: SyncRedis, first: Leadership) -> None:
    lead = connection.run(first.take())

    assert lead == connection.run(first.take())


def test_a_silent_leader_is_followed_by_another_with_a_larger_fence(
    connection: SyncRedis, keys: Keys, second: Leadership
) -> None:
    old = connection.run(candidate(keys, "first", ttl_ms=1).take())

    time.sleep(0.01)
    new = connection.run(second.take())

    assert new.fence > old.fence


def test_a_lead_given_back_is_free_at_once(connection: SyncRedis, first: Leadership, second: Leadership) -> None:
    lead = connection.run(first.take())

    resigned = connection.run(first.resign(lead))

    assert resigned
    assert connection.run(second.take()).leader == "second"


def test_a_lead_that_was_lost_cannot_be_given_back(
    connection: SyncRedis, first: Leadership, second: Leadership
) -> None:
    lead = connection.run(first.take())
    connection.run(first.resign(lead))
    connection.run(second.take())

    resigned = connection.run(first.resign(lead))

    assert not resigned
    assert connection.run(first.take()).leader == "second"


def test_a_fence_is_never_given_twice_even_if_the_server_forgot_the_last(
    connection: SyncRedis, keys: Keys, first: Leadership, second: Leadership
) -> None:
    old = connection.run(first.take())

    connection.client.delete(keys.leader, keys.leader_fence)
    new = connection.run(second.take())

    assert new.fence > old.fence


def test_the_leaders_wishes_replace_earlier_ones(connection: SyncRedis, keys: Keys, first: Leadership) -> None:
    lead = connection.run(first.take())
    connection.run(first.desire(lead, {"old": 3, "gpu": 1}, report=REPORT))

    written = connection.run(first.desire(lead, {"gpu": 2}, report=REPORT))

    assert written
    assert desired(connection, keys) == {b"gpu": b"2"}


def test_a_change_is_written_down_beside_the_wishes(connection: SyncRedis, keys: Keys, first: Leadership) -> None:
    change = ScalingChange(at_ms=1, worker_class="gpu", before=1, after=2, reason="much to do")

    connection.run(first.desire(connection.run(first.take()), {"gpu": 2}, report=REPORT, changes=[change]))

    client: Any = connection.client
    assert client.get(keys.scaling) == REPORT.model_dump_json().encode()
    assert [change.model_dump_json().encode()] == [fields[b"change"] for _, fields in client.xrange(keys.scaling_log)]
    assert desired(connection, keys) == {b"gpu": b"2"}


def test_a_leader_without_wishes_leaves_none(connection: SyncRedis, keys: Keys, first: Leadership) -> None:
    lead = connection.run(first.take())

    assert connection.run(first.desire(lead, {}, report=REPORT))
    assert desired(connection, keys) == {}


def test_who_lost_the_lead_cannot_write_wishes(
    connection: SyncRedis, keys: Keys, first: Leadership, second: Leadership
) -> None:
    lost = connection.run(first.take())
    connection.run(first.resign(lost))
    connection.run(second.take())

    written = connection.run(first.desire(lost, {"gpu": 9}, report=REPORT))

    assert not written
    assert desired(connection, keys) == {}
    assert not connection.client.exists(keys.scaling, keys.scaling_log)


def test_what_is_left_to_others_is_told_for_a_while_and_as_long_as_it_is_so(
    connection: SyncRedis, keys: Keys, first: Leadership
) -> None:
    lead, client = connection.run(first.take()), connection.client
    told = {"gpu": Manners(left=("cat@1:spot",))}

    connection.run(first.desire(lead, {"gpu": 2}, report=REPORT, manners=told, manners_ttl_ms=60_000))

    assert told["gpu"] == read_manners(bytes(client.get(keys.homes) or b""), "gpu")  # type: ignore[arg-type]  # typed for async too
    assert 0 < int(str(client.pttl(keys.homes))) <= 60_000
    assert desired(connection, keys) == {b"gpu": b"2"}
    connection.run(first.desire(lead, {"gpu": 2}, report=REPORT))
    assert not client.exists(keys.homes)


def test_a_lead_that_would_never_end_is_no_lead(connection: SyncRedis, keys: Keys, first: Leadership) -> None:
    connection.client.set(keys.leader, "somebody#7")

    lead = connection.run(first.take())

    assert lead.fence > 7
    assert connection.client.pttl(keys.leader) > 0
