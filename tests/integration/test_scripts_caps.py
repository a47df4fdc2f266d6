"""How many jobs a tenant may have: waiting over all its queues, and with workers."""

from collections import Counter
from typing import Any

import pytest

from headrace.keys import Keys
from headrace.store_submissions import SubmitOutcome
from headrace.sync_redis import SyncRedis
from headrace.tenant_store import EVERYBODY, Caps, TenantStore
from headrace.tiers import Tier
from tests.integration.script_cell import Cell, new_job

ACCEPTED, TENANT_FULL = SubmitOutcome.ACCEPTED, SubmitOutcome.TENANT_FULL


@pytest.fixture
def tenants(keys: Keys) -> TenantStore:
    return TenantStore(keys)


def limit(cell: Cell, tenant: str = "default", **caps: int | None) -> None:
    cell.run_all(TenantStore(cell.keys).set_caps(tenant, caps))


def submit(cell: Cell, *job_ids: str, tenant: str = "default", tier: Tier = Tier.STANDARD) -> list[SubmitOutcome]:
    return [cell.submit(job_id, tenant=tenant, tier=tier).outcome for job_id in job_ids]


def members(cell: Cell, *, jobs: int = 10, worker: str = "w1") -> list[str]:
    return [job.member for job in cell.claim(jobs=jobs, worker=worker).jobs]


# --- waiting ---------------------------------------------------------------------------------------------------------


def test_jobs_of_all_queues_count_and_one_too_many_is_refused(cell: Cell) -> None:
    limit(cell, waiting_jobs=2)

    outcomes = [*submit(cell, "a"), *submit(cell, "b", tier=Tier.SPOT), *submit(cell, "c", tier=Tier.PRIORITY)]

    assert outcomes == [ACCEPTED, ACCEPTED, TENANT_FULL]
    assert cell.submit("c").depth == 2
    assert cell.run(cell.store.read("default/c")) is None


def test_what_a_worker_has_taken_waits_no_more(cell: Cell) -> None:
    limit(cell, waiting_jobs=1)
    submit(cell, "a")

    cell.take()

    assert submit(cell, "b", "c") == [ACCEPTED, TENANT_FULL]


def test_many_by_one_call_are_accepted_as_far_as_they_go(cell: Cell) -> None:
    limit(cell, waiting_jobs=2)
    jobs = [new_job(f"j{number}", tier=tier) for number, tier in enumerate([*Tier, Tier.SPOT])]

    outcomes = [answer.outcome for answer in cell.run(cell.store.submit_many(jobs, cap=100))]

    assert outcomes == [ACCEPTED, ACCEPTED, TENANT_FULL, TENANT_FULL]


def test_of_all_or_none_it_is_none(cell: Cell) -> None:
    limit(cell, waiting_jobs=2)
    jobs = [new_job(f"j{number}") for number in range(3)]

    answers = cell.run(cell.store.submit_many(jobs, cap=100, is_whole=True))

    assert [answer.outcome for answer in answers] == [*[SubmitOutcome.WITHHELD] * 2, TENANT_FULL]
    assert cell.ready() == []


def test_what_was_accepted_before_is_known_however_many_wait(cell: Cell) -> None:
    cell.submit("a", idempotency_key="k", request_hash="h")
    limit(cell, waiting_jobs=0)

    assert cell.submit("b", idempotency_key="k", request_hash="h").outcome is SubmitOutcome.REPLAYED


def test_another_tenant_has_room_of_its_own_and_everybody_elses_cap_if_it_has_none(cell: Cell) -> None:
    limit(cell, waiting_jobs=2)
    limit(cell, EVERYBODY, waiting_jobs=1)

    assert submit(cell, "a", "b", "c") == [ACCEPTED, ACCEPTED, TENANT_FULL]
    assert submit(cell, "a", "b", tenant="other") == [ACCEPTED, TENANT_FULL]


def test_a_cap_that_is_taken_away_limits_nobody(cell: Cell) -> None:
    limit(cell, waiting_jobs=0)
    limit(cell, waiting_jobs=None)

    assert submit(cell, "a") == [ACCEPTED]


# --- running ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [{}, {"retry_on": ()}], ids=["plain", "not plain"])
def test_workers_together_hold_no_more_than_may_be(cell: Cell, asked: dict[str, Any]) -> None:
    limit(cell, running_jobs=3)
    cell.submit_many(5, **asked)

    assert [len(members(cell, jobs=2, worker=worker)) for worker in ("w1", "w2", "w3")] == [2, 1, 0]


def test_tiers_and_queues_of_a_tenant_share_its_cap(cell: Cell) -> None:
    limit(cell, running_jobs=2)
    for tier in Tier:
        submit(cell, f"j-{tier}", tier=tier)

    assert len(members(cell)) == 2


@pytest.mark.parametrize("end", ["commit", "fail", "release", "reap", "cancel", "expire"])
def test_whatever_ends_a_lease_makes_room(cell: Cell, end: str) -> None:
    limit(cell, running_jobs=1)
    cell.submit("a", deadline_ms=cell.now_ms() + 60_000)
    cell.submit("b")
    leases = cell.take()
    match end:
        case "commit":
            cell.commit(leases)
        case "fail":
            cell.fail(leases, backoff_ms=60_000)
        case "release":
            cell.run(cell.store.release(leases))
        case "reap":
            cell.lapse_leases()
            cell.reap()
        case "cancel":
            cell.cancel(leases[0].member)
        case "expire":
            cell.pass_deadlines(leases[0].member)
            cell.expire()

    assert len(members(cell)) == 1
    assert members(cell) == []


def test_others_are_served_past_a_tenant_that_has_enough(cell: Cell) -> None:
    limit(cell, "greedy", running_jobs=2)
    submit(cell, *(f"j{number}" for number in range(9)), tenant="greedy")
    submit(cell, *(f"j{number}" for number in range(9)), tenant="modest")

    first = Counter(member.partition("/")[0] for member in members(cell, jobs=6))
    # Also by claims of one, which look at the tenant whose turn it is first.
    second = [member.partition("/")[0] for _ in range(3) for member in members(cell, jobs=1)]

    assert first == {"greedy": 2, "modest": 4}
    assert second == ["modest"] * 3


def test_a_worker_is_not_told_of_jobs_that_it_may_not_have_but_to_come_back_soon(cell: Cell) -> None:
    limit(cell, running_jobs=1)
    cell.submit_many(3)

    first, second = cell.claim(), cell.claim()

    assert ([len(first.jobs), len(second.jobs)], first.more, second.more) == ([1, 0], False, False)
    assert 0 < first.come_back_ms <= 100
    assert 0 < second.come_back_ms <= 100


def test_a_worker_is_told_of_jobs_of_others_that_are_left(cell: Cell) -> None:
    limit(cell, "greedy", running_jobs=0)
    submit(cell, "a", tenant="greedy")
    submit(cell, "a", "b", tenant="modest")

    claimed = cell.claim(jobs=1)

    assert ([job.member for job in claimed.jobs], claimed.more) == (["modest/a"], True)


def test_everybodys_cap_is_each_ones_own(cell: Cell) -> None:
    limit(cell, EVERYBODY, running_jobs=1)
    limit(cell, "favoured", running_jobs=2)
    for tenant in ("a", "b", "favoured"):
        submit(cell, "x", "y", "z", tenant=tenant)

    assert Counter(member.partition("/")[0] for member in members(cell)) == {"a": 1, "b": 1, "favoured": 2}


def test_jobs_are_run_to_their_end_under_a_cap_and_without_one_again(cell: Cell) -> None:
    limit(cell, running_jobs=2)
    cell.submit_many(5)
    for _ in range(2):
        cell.commit(cell.take_and_start())
    limit(cell, running_jobs=None)

    assert len(members(cell)) == 1


def test_what_is_held_is_counted_for_whoever_asks(cell: Cell, tenants: TenantStore) -> None:
    limit(cell, running_jobs=3)
    cell.submit_many(5)
    leases = cell.take(jobs=2)

    held = cell.run(tenants.held("default"))
    cell.commit(leases)

    assert (held, cell.run(tenants.held("default"))) == (2, 0)


@pytest.mark.parametrize("key", ["waiting_caps", "running_caps"])
def test_a_cap_that_is_none_of_ours_limits_nobody(cell: Cell, tenants: TenantStore, key: str) -> None:
    cell.redis.set(getattr(cell.keys, key), "somebody's")

    assert submit(cell, "a") == [ACCEPTED]
    assert members(cell) == ["default/a"]
    assert cell.run(tenants.caps()) == {}


def test_a_list_of_what_is_held_that_is_none_of_ours_stops_nobody(cell: Cell) -> None:
    limit(cell, running_jobs=1)
    cell.redis.set(cell.keys.held("default"), "somebody's")
    cell.submit("a")

    assert members(cell) == ["default/a"]


def test_caps_are_read_as_they_were_set(cell: Cell, tenants: TenantStore, connection: SyncRedis) -> None:
    limit(cell, "a", waiting_jobs=5, running_jobs=0)
    limit(cell, EVERYBODY, running_jobs=7)

    assert connection.run(tenants.caps()) == {EVERYBODY: Caps(None, 7), "a": Caps(5, 0)}


def test_a_claim_that_stops_half_way_lets_nobody_have_more(cell: Cell) -> None:
    limit(cell, running_jobs=2)
    cell.submit_many(3)
    held = cell.take(jobs=2)
    # As it is when a claim stops between listing and leasing.
    cell.redis.sadd(cell.keys.held("default"), "default/j2#123")

    assert members(cell) == []
    cell.commit(held)
    assert members(cell) == ["default/j2"]
