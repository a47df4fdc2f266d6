"""Fair shares: tenants that wait get the device's time in proportion to their weights, whatever their jobs cost."""

from collections import Counter
from collections.abc import Mapping

import pytest

from headrace.jobs import JobStatus, Lease
from headrace.store_work import ClaimedJob, Outcome
from tests.integration.script_cell import STANDARD, TTL_S, Cell

BATCH = 8


def submit(cell: Cell, tenant: str, count: int) -> None:
    known = int(cell.redis.zcard(cell.keys.index(tenant)))
    for number in range(known, known + count):
        cell.submit(f"j{number}", tenant=tenant)


def tenant_of(job: ClaimedJob) -> str:
    return job.member.partition("/")[0]


def run_batch(cell: Cell, costs_ms: Mapping[str, float]) -> Counter[str]:
    """Claim a batch and end it; answers the device's time that each tenant had."""
    jobs = cell.claim(jobs=BATCH).jobs
    outcomes = [Outcome(job.lease, JobStatus.SUCCEEDED, None, b"1", costs_ms[tenant_of(job)]) for job in jobs]
    ran_ms = sum(costs_ms[tenant_of(job)] for job in jobs)
    cell.run(cell.store.commit(outcomes, ran_ms=ran_ms, result_ttl_s=TTL_S))
    work: Counter[str] = Counter()
    for job in jobs:
        work[tenant_of(job)] += costs_ms[tenant_of(job)]  # type: ignore[assignment] # a Counter may hold floats
    return work


@pytest.mark.parametrize("costs_ms", [{"a": 2, "b": 2}, {"a": 10, "b": 2}, {"a": 2, "b": 10}], ids=str)
def test_ten_times_the_load_gets_no_more_while_both_wait(cell: Cell, costs_ms: Mapping[str, float]) -> None:
    submit(cell, "a", 1000)
    submit(cell, "b", 100)

    work: Counter[str] = Counter()
    while len(cell.ready(tenant="b")) > BATCH:
        work += run_batch(cell, costs_ms)

    assert work["a"] == pytest.approx(work["b"], rel=0.1)


def test_a_tenant_of_three_times_the_weight_gets_three_times_the_time(cell: Cell) -> None:
    cell.redis.hset(cell.keys.weights, "a", 3)
    submit(cell, "a", 400)
    submit(cell, "b", 400)

    work: Counter[str] = Counter()
    for _ in range(40):
        work += run_batch(cell, {"a": 2, "b": 6})

    assert work["a"] == pytest.approx(3 * work["b"], rel=0.1)


@pytest.mark.parametrize("weight", ["0", "-1", "nan", "garbage", ""])
def test_a_weight_that_is_none_counts_as_one(cell: Cell, weight: str) -> None:
    cell.redis.hset(cell.keys.weights, "a", weight)
    submit(cell, "a", 200)
    submit(cell, "b", 200)

    work: Counter[str] = Counter()
    for _ in range(30):
        work += run_batch(cell, {"a": 2, "b": 2})

    assert work["a"] == pytest.approx(work["b"], rel=0.1)


def test_coming_and_going_saves_nothing_up(cell: Cell) -> None:
    """A tenant that hands in a costly job whenever its last one was taken has no more than one that hands in all."""
    submit(cell, "steady", 400)

    work: Counter[str] = Counter()
    for _ in range(30):
        if not cell.ready(tenant="nimble"):
            submit(cell, "nimble", 1)
        work += run_batch(cell, {"steady": 2, "nimble": 50})

    assert work["nimble"] <= 1.2 * work["steady"]


def test_the_first_job_of_an_idle_tenant_is_in_the_next_claim(cell: Cell) -> None:
    submit(cell, "busy", 100)
    for _ in range(5):
        run_batch(cell, {"busy": 10})
    submit(cell, "idle", 1)

    assert "idle" in {tenant_of(job) for job in cell.claim(jobs=BATCH).jobs}


def test_a_long_absence_is_no_debt_of_the_others(cell: Cell) -> None:
    submit(cell, "a", 200)
    submit(cell, "b", 10)
    while cell.ready(tenant="a") or cell.ready(tenant="b"):
        run_batch(cell, {"a": 5, "b": 5})
    submit(cell, "a", 50)
    submit(cell, "b", 50)

    tenants = Counter(tenant_of(job) for job in cell.claim(jobs=10).jobs)

    assert tenants == {"a": 5, "b": 5}
    assert cell.redis.exists(cell.keys.paid(STANDARD)) == 0


def test_what_a_tenants_jobs_take_is_learned_and_charged_ahead(cell: Cell) -> None:
    submit(cell, "costly", 100)
    submit(cell, "cheap", 100)
    for _ in range(4):
        run_batch(cell, {"costly": 50, "cheap": 5})

    before = turns(cell)
    tenants = Counter(tenant_of(job) for job in cell.claim(jobs=11).jobs)

    charged = {tenant: turns(cell)[tenant] - before[tenant] for tenant in before}
    assert charged == {"costly": pytest.approx(50 * tenants["costly"]), "cheap": pytest.approx(5 * tenants["cheap"])}


def test_a_weight_counts_from_the_claim_on(cell: Cell) -> None:
    cell.redis.hset(cell.keys.weights, "heavy", 4)
    submit(cell, "heavy", 10)
    submit(cell, "light", 10)
    before = turns(cell)

    cell.take(jobs=10)

    assert {"heavy": 2.0, "light": 2.0} == {tenant: turns(cell)[tenant] - had for tenant, had in before.items()}


@pytest.mark.parametrize("how", ["release", "reap"])
def test_what_was_not_run_is_not_paid(cell: Cell, how: str) -> None:
    submit(cell, "a", 10)
    submit(cell, "b", 10)
    before = turns(cell)
    leases = cell.take(jobs=8)
    charged = turns(cell)

    give_back(cell, how, leases)

    assert charged == {tenant: virtual_ms + 4 for tenant, virtual_ms in before.items()}
    assert before == turns(cell)


def give_back(cell: Cell, how: str, leases: list[Lease]) -> None:
    if how == "release":
        cell.run(cell.store.release(leases))
    else:
        cell.lapse_leases()
        cell.reap()


def turns(cell: Cell) -> dict[str, float]:
    return {tenant.decode(): had for tenant, had in cell.redis.zrange(cell.keys.turn(STANDARD), 0, -1, withscores=True)}


def test_a_commit_sent_again_charges_once(cell: Cell) -> None:
    submit(cell, "a", 10)
    submit(cell, "b", 10)
    leases = cell.take(jobs=8)
    cell.commit(leases)
    charged = turns(cell)

    cell.commit(leases)

    assert charged == turns(cell)


def test_who_waits_alone_and_gets_all_is_charged_nothing_until_the_commit_if_it_is_back_by_then(cell: Cell) -> None:
    submit(cell, "a", 4)
    leases = cell.take(jobs=10)
    submit(cell, "a", 4)

    assert turns(cell) == {"a": 0}
    cell.commit(leases)
    assert turns(cell) == {"a": 7}


def test_what_is_charged_ahead_is_set_right_by_the_commit(cell: Cell) -> None:
    submit(cell, "a", 10)

    leases = cell.take(jobs=4)

    assert turns(cell) == {"a": 4}
    cell.commit(leases)
    assert turns(cell) == {"a": 7}
