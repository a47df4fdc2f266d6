"""Jobs that came by one call: what becomes of the record of the first is copied to those that were the same."""

import pytest

from api.ends import read_end
from headrace.jobs import Job, JobStatus
from headrace.store_work import CommitAnswer, Outcome
from headrace.tiers import Tier
from tests.integration.script_cell import ALL_GROUPS, TTL_S, Cell, new_job
from tests.integration.script_faults import Mutation

KEPT, REFUSED = CommitAnswer.KEPT, CommitAnswer.REFUSED

MEMBERS = [f"default/j{number}" for number in range(5)]


def submit_together(cell: Cell, *, tenant: str = "default", is_awaited: bool = False) -> None:
    """Submit j0 to j4 by one call, so that their records are the same."""
    jobs = [new_job(f"j{number}", tenant=tenant, is_awaited=is_awaited) for number in range(len(MEMBERS))]
    cell.run(cell.store.submit_many(jobs, cap=100))
    assert 1 == len({cell.redis.dump(cell.keys.job(job.member)) for job in jobs})


def records(cell: Cell) -> list[Job]:
    return [cell.job(member) for member in MEMBERS]


def lives_s(cell: Cell) -> list[int]:
    """Times to live of the records; -1 for none."""
    return [cell.redis.ttl(cell.keys.job(member)) for member in MEMBERS]


def dumps(cell: Cell) -> int:
    """How many records the server has been asked to dump."""
    stats = cell.redis.info("commandstats")
    return int(stats["cmdstat_dump"]["calls"]) if "cmdstat_dump" in stats else 0


@pytest.mark.parametrize(("together", "compared"), [(False, 0), (True, 2 * 4)])
def test_only_jobs_that_came_together_are_compared(cell: Cell, together: bool, compared: int) -> None:
    jobs = [new_job(f"j{number}") for number in range(5)]
    calls = [jobs] if together else [[job] for job in jobs]
    cell.run_all([cell.store.submit_many(call, cap=100) for call in calls])
    before = dumps(cell)

    cell.commit(cell.take())

    assert compared == dumps(cell) - before


# --- claim ---------------------------------------------------------------------------------------------------


def test_each_of_them_is_claimed_and_stays_until_it_has_ended(cell: Cell) -> None:
    submit_together(cell)

    claimed = cell.claim(worker="w7").jobs

    assert MEMBERS == [job.member for job in claimed]
    assert {"w7"} == {job.worker for job in records(cell)}
    assert {-1} == set(lives_s(cell))
    assert len(MEMBERS) == cell.redis.zcard(cell.keys.leases)


def test_one_that_was_changed_keeps_what_it_was_changed_to(cell: Cell) -> None:
    submit_together(cell)
    soon_ms = cell.now_ms() + 60_000
    cell.amend("default/j2", deadline_ms=soon_ms)
    cell.amend("default/j3", tier=Tier.SPOT)

    claimed = cell.claim(groups=ALL_GROUPS).jobs

    assert ["default/j2"] == [job.member for job in claimed if job.deadline_in_ms]
    assert [None, None, soon_ms, None, None] == [job.deadline_ms for job in records(cell)]
    assert ["default/j3"] == [job.member for job in records(cell) if job.tier is Tier.SPOT]


def test_tenants_that_take_turns_are_each_charged_their_own_price(cell: Cell) -> None:
    submit_together(cell)
    submit_together(cell, tenant="other")
    others = [member.replace("default", "other") for member in MEMBERS]
    for member, other in zip(MEMBERS, others, strict=True):
        cell.redis.copy(cell.keys.job(member), cell.keys.job(other), replace=True)
    cell.redis.hset(cell.keys.queue("m@1:standard"), mapping={"ms:default": 3, "ms:other": 7})

    cell.claim(jobs=20)

    charged = [{cell.redis.hget(cell.keys.job(member), "j") for member in whose} for whose in (MEMBERS, others)]
    assert charged == [{b"+3"}, {b"+7"}]


# --- commit --------------------------------------------------------------------------------------------------


def test_each_of_them_has_its_own_result_and_is_kept_as_long_as_the_others(cell: Cell) -> None:
    submit_together(cell)
    outcomes = [Outcome(lease, JobStatus.SUCCEEDED, None, lease.member.encode()) for lease in cell.take()]

    answers = cell.run(cell.store.commit(outcomes, ran_ms=7, result_ttl_s=TTL_S))

    ended = records(cell)
    assert [KEPT] * 5 == answers
    assert [member.encode() for member in MEMBERS] == [cell.output(member) for member in MEMBERS]
    assert {(JobStatus.SUCCEEDED, 1, 5, 1.4)} == {
        (job.status, job.attempts, job.batch_size, job.spent_ms) for job in ended
    }
    assert all(TTL_S - 5 <= life_s <= TTL_S for life_s in lives_s(cell))
    assert 5 == sum(row.counts["succeeded"] for row in cell.usage())


def test_one_that_was_canceled_meanwhile_stays_canceled(cell: Cell) -> None:
    submit_together(cell)
    leases = cell.take()
    cell.cancel("default/j3")

    answers = cell.commit(leases)

    assert [KEPT, KEPT, KEPT, REFUSED, KEPT] == answers
    assert ["default/j3"] == [job.member for job in records(cell) if job.status is JobStatus.CANCELED]


def test_one_under_a_lease_that_was_lost_is_refused(cell: Cell) -> None:
    submit_together(cell)
    leases = cell.take()
    leases[3] = leases[3]._replace(fence=leases[3].fence - 1)

    answers = cell.commit(leases)

    assert [KEPT, KEPT, KEPT, REFUSED, KEPT] == answers
    assert JobStatus.QUEUED == cell.status("default/j3")


def test_one_that_failed_has_failed(cell: Cell) -> None:
    submit_together(cell)
    outcomes = [Outcome(lease, JobStatus.SUCCEEDED, None, b"1") for lease in cell.take()]
    outcomes[3] = outcomes[3]._replace(status=JobStatus.FAILED, body=b"{}")

    cell.run(cell.store.commit(outcomes, ran_ms=7, result_ttl_s=TTL_S))

    assert ["default/j3"] == [job.member for job in records(cell) if job.status is JobStatus.FAILED]


def test_a_job_that_is_committed_twice_at_once_has_ended_once(cell: Cell) -> None:
    submit_together(cell)
    leases = cell.take()

    answers = cell.commit([*leases, leases[0], leases[2]])

    assert [KEPT] * 5 + [CommitAnswer.ALREADY_KEPT] * 2 == answers
    assert 5 == sum(row.counts["succeeded"] for row in cell.usage())


@pytest.mark.parametrize("age", ["new", "old"])
def test_a_server_of_any_age_stores_the_results_of_any_number(cell: Cell, age: str) -> None:
    if age == "old":
        cell.rewrite = Mutation("commit", ">= 0x090100", ">= 0x990100").make
    jobs = [new_job(f"j{number:04}", input=b"1") for number in range(1100)]
    cell.run(cell.store.submit_many(jobs, cap=2000))
    leases = cell.take(jobs=1100)

    cell.commit(leases[:50])
    cell.commit(leases[50:])

    assert {b'"done"'} == {cell.output(lease.member) for lease in leases}
    assert all(0 < cell.redis.ttl(cell.keys.output(lease.member)) <= TTL_S for lease in leases)


def test_each_of_them_had_its_own_part_of_the_pass(cell: Cell) -> None:
    submit_together(cell)
    parts_ms = [1.0, 1.0, 1.0, 2.5, 1.5]
    outcomes = [
        Outcome(lease, JobStatus.SUCCEEDED, None, b"1", part_ms)
        for lease, part_ms in zip(cell.take(), parts_ms, strict=True)
    ]

    cell.run(cell.store.commit(outcomes, ran_ms=7, result_ttl_s=TTL_S))

    assert parts_ms == [job.spent_ms for job in records(cell)]
    assert 7000 == sum(row.counts["gpu_us"] for row in cell.usage())


def test_what_two_tenants_had_is_counted_for_each(cell: Cell) -> None:
    submit_together(cell)
    submit_together(cell, tenant="other")
    leases = cell.take(jobs=20)
    for lease in leases:
        if lease.member != leases[0].member:
            cell.redis.copy(cell.keys.job(leases[0].member), cell.keys.job(lease.member), replace=True)

    answers = cell.commit([lease._replace(fence=leases[0].fence) for lease in leases])

    assert [KEPT] * 10 == answers
    assert {"default": 5, "other": 5} == {row.tenant: row.counts["succeeded"] for row in cell.usage()}


@pytest.mark.parametrize("large", [0, 1, 2, 3])
def test_whoever_waits_is_told_the_end_of_the_own_job(cell: Cell, large: int) -> None:
    submit_together(cell, is_awaited=True)
    outcomes = [Outcome(lease, JobStatus.SUCCEEDED, None, lease.member.encode()) for lease in cell.take()]
    outcomes[large] = outcomes[large]._replace(body=b"x" * 40_000)

    cell.run(cell.store.commit(outcomes, ran_ms=7, result_ttl_s=TTL_S))

    told = {member: read_end(member, end) for member, end in cell.told_ends().items()}
    expected = [member for member in MEMBERS if member != MEMBERS[large]]
    assert {member: (cell.job(member), cell.output(member)) for member in expected} == told


def test_whoever_waits_for_a_job_that_is_not_alike_is_told_of_that_one(cell: Cell) -> None:
    for number, member in enumerate(MEMBERS):
        cell.submit(member.removeprefix("default/"), is_awaited=True, max_attempts=number + 1)

    cell.commit(cell.take())

    told = {member: read_end(member, end) for member, end in cell.told_ends().items()}
    assert {member: (cell.job(member), b'"done"') for member in MEMBERS} == told
