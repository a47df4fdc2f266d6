"""Reaping, promoting, sweeping, and what can be read: the system looking after its jobs."""

import pytest

from headrace.groups import group_of
from headrace.jobs import JobStatus
from headrace.store_care import Reaped, Swept
from headrace.store_views import Place
from headrace.tiers import Tier, score_of
from tests.integration.script_cell import GROUPS, STANDARD, TTL_S, Cell, new_job

# --- reap ----------------------------------------------------------------------------------------------------


def test_a_claimed_job_of_a_silent_worker_takes_its_old_place_and_is_charged_nothing(cell: Cell) -> None:
    cell.submit("j1")
    cell.submit("j2")
    [lease] = cell.take(jobs=1)
    cell.lapse_leases()

    reaped = cell.reap()

    job = cell.job("default/j1")
    assert (Reaped(1, 0), ["default/j1", "default/j2"]) == (reaped, cell.ready())
    assert (job.status, job.attempts, job.reason, job.worker) == (JobStatus.QUEUED, 0, "worker_lost", None)
    assert job.fence > lease.fence
    assert (cell.stat("rescued"), cell.redis.zcard(cell.keys.leases)) == (1, 0)


def test_a_running_job_of_a_silent_worker_keeps_the_attempt_it_was_charged(cell: Cell) -> None:
    cell.submit("j1")
    cell.take_and_start()
    cell.lapse_leases()

    cell.reap()

    assert (cell.status("default/j1"), cell.job("default/j1").attempts) == (JobStatus.QUEUED, 1)


def test_a_job_that_lost_its_worker_on_the_last_attempt_has_failed(cell: Cell) -> None:
    cell.submit("j1", max_attempts=1)
    cell.take_and_start()
    cell.lapse_leases()

    reaped = cell.reap()

    job = cell.job("default/j1")
    assert (Reaped(0, 1), JobStatus.FAILED, "worker_lost") == (reaped, job.status, job.cause)
    assert b'"cause":"worker_lost"' in (cell.output("default/j1") or b"")
    assert (cell.events(), cell.ready(), cell.stat("dead")) == (["default/j1 failed"], [], 1)


def test_a_job_being_canceled_ends_canceled_when_its_worker_is_lost(cell: Cell) -> None:
    cell.submit("j1")
    cell.take_and_start()
    cell.cancel("default/j1")
    cell.lapse_leases()

    assert (Reaped(0, 1), JobStatus.CANCELED) == (cell.reap(), cell.status("default/j1"))


def test_a_lease_that_still_runs_is_left_alone(cell: Cell) -> None:
    cell.submit("j1")
    cell.take_and_start()

    assert (Reaped(0, 0), JobStatus.RUNNING) == (cell.reap(), cell.status("default/j1"))


def test_the_bell_rings_for_what_was_taken_back(cell: Cell) -> None:
    cell.submit("j1")
    cell.take()
    cell.lapse_leases()

    cell.reap()

    assert cell.rings() == 2


def test_a_lease_that_the_record_does_not_bear_out_is_dropped(cell: Cell) -> None:
    cell.submit("j1")
    cell.submit("j2")
    done, running = cell.take_and_start()
    cell.commit([done])
    older = running._replace(fence=running.fence - 1)
    cell.redis.zadd(cell.keys.leases, {str(done): 1, str(older): 1, "nonsense": 1, "default/none#5": 1})

    reaped = cell.reap()

    assert (Reaped(0, 0), [str(running).encode()]) == (reaped, cell.redis.zrange(cell.keys.leases, 0, -1))
    assert (cell.status("default/j1"), cell.status("default/j2")) == (JobStatus.SUCCEEDED, JobStatus.RUNNING)


@pytest.mark.parametrize("field", ["a", "n", "m", "t", "z"])
def test_a_broken_record_does_not_keep_others_from_being_rescued(cell: Cell, field: str) -> None:
    cell.submit("j1")
    cell.submit("j2")
    cell.take_and_start()
    cell.redis.hdel(cell.keys.job("default/j1"), field)
    cell.lapse_leases()

    assert (Reaped(1, 0), ["default/j2"]) == (cell.reap(), cell.ready())
    assert cell.redis.zrange(cell.keys.quarantine, 0, -1) == [b"default/j1"]


def test_no_more_leases_are_reaped_at_once_than_asked_for(cell: Cell) -> None:
    for i in range(5):
        cell.submit(f"j{i}")
    cell.take()
    cell.lapse_leases()

    assert Reaped(2, 0) == cell.run(cell.store.reap(limit=2, result_ttl_s=TTL_S))


# --- promote -------------------------------------------------------------------------------------------------


def test_a_delayed_job_becomes_ready_when_it_is_due_and_the_bell_rings(cell: Cell) -> None:
    cell.submit("j1", not_before_ms=cell.now_ms() + 60_000)
    early = cell.run(cell.store.promote(limit=10))
    cell.lapse_delays()

    due = cell.run(cell.store.promote(limit=10))

    assert (early, due, cell.ready(), cell.rings()) == (0, 1, ["default/j1"], 1)
    assert (cell.job("default/j1").reason, cell.redis.zcard(cell.keys.delayed)) == (None, 0)


def test_a_delayed_entry_of_a_job_that_does_not_wait_is_dropped(cell: Cell) -> None:
    cell.submit("j1")
    cell.take_and_start()
    cell.redis.zadd(cell.keys.delayed, {"default/j1": 1, "default/none": 1})

    cell.run(cell.store.promote(limit=10))

    assert (
        cell.ready(),
        cell.redis.zcard(cell.keys.delayed),
        cell.status("default/j1"),
    ) == ([], 0, JobStatus.RUNNING)


# --- sweep ---------------------------------------------------------------------------------------------------


def test_a_sweep_of_what_is_in_order_changes_nothing(cell: Cell) -> None:
    cell.submit("ready", deadline_ms=cell.now_ms() + 60_000)
    cell.submit("delayed", not_before_ms=cell.now_ms() + 60_000)
    cell.take_and_start(jobs=1)
    cell.submit("done")
    cell.commit(cell.take_and_start(jobs=1))
    before = {key: cell.redis.dump(key) for key in cell.redis.scan_iter(f"{cell.keys.prefix}*")}

    swept = cell.sweep()

    after = {key: cell.redis.dump(key) for key in cell.redis.scan_iter(f"{cell.keys.prefix}*")}
    assert Swept(0, 0, 0) == swept
    assert before == after


def test_a_job_that_nothing_leads_to_becomes_ready_again(cell: Cell) -> None:
    cell.submit("j1")
    cell.redis.delete(cell.keys.ready(STANDARD, "default"), cell.keys.turn(STANDARD))

    swept = cell.sweep()

    assert (Swept(0, 0, 1), ["default/j1"], 2, 1) == (swept, cell.ready(), cell.rings(), cell.stat("mended"))
    assert [job.member for job in cell.claim().jobs] == ["default/j1"]


def test_a_ready_set_that_has_no_turn_gets_one(cell: Cell) -> None:
    cell.submit("j1")
    cell.redis.delete(cell.keys.turn(STANDARD))

    cell.sweep()

    assert [job.member for job in cell.claim().jobs] == ["default/j1"]


def test_a_running_job_without_a_lease_is_handed_to_the_reaper(cell: Cell) -> None:
    cell.submit("j1")
    cell.take_and_start()
    cell.redis.delete(cell.keys.leases)

    cell.sweep()

    assert (Reaped(1, 0), ["default/j1"]) == (cell.reap(), cell.ready())


def test_a_deadline_that_was_lost_is_watched_again(cell: Cell) -> None:
    deadline = cell.now_ms() + 60_000
    cell.submit("j1", deadline_ms=deadline)
    cell.redis.delete(cell.keys.deadlines)

    cell.sweep()

    assert deadline == cell.redis.zscore(cell.keys.deadlines, "default/j1")


def test_a_finished_record_without_a_time_to_live_gets_one_and_is_otherwise_left_alone(cell: Cell) -> None:
    cell.submit("j1")
    cell.commit(cell.take_and_start())
    cell.redis.persist(cell.keys.job("default/j1"))
    cell.redis.set(cell.keys.input("default/j1"), "left behind")
    before = cell.job("default/j1")

    cell.sweep()

    assert before == cell.job("default/j1")
    assert 0 < cell.redis.ttl(cell.keys.job("default/j1")) <= TTL_S
    assert not cell.redis.exists(cell.keys.input("default/j1"))


def test_a_job_whose_input_is_lost_ends_failed(cell: Cell) -> None:
    cell.submit("j1", deadline_ms=cell.now_ms() + 60_000)
    cell.redis.delete(cell.keys.input("default/j1"))
    cell.claim()

    cell.sweep()

    assert (cell.status("default/j1"), cell.job("default/j1").cause) == (JobStatus.FAILED, "internal")
    assert b'"cause":"internal"' in (cell.output("default/j1") or b"")
    assert (cell.events(), cell.redis.zcard(cell.keys.deadlines)) == (["default/j1 failed"], 0)


def test_a_job_whose_record_is_gone_is_forgotten_with_its_input(cell: Cell) -> None:
    cell.submit("j1")
    cell.submit("j2")
    cell.redis.delete(cell.keys.job("default/j1"))

    swept = cell.sweep()

    assert Swept(0, 1, 0) == swept
    assert cell.run(cell.store.recent("default", limit=10)) == ["default/j2"]
    assert not cell.redis.exists(cell.keys.input("default/j1"))


def test_a_broken_record_is_set_apart_and_keeps_its_input(cell: Cell) -> None:
    cell.submit("j1")
    cell.redis.hdel(cell.keys.job("default/j1"), "f")

    cell.sweep()

    assert cell.redis.zrange(cell.keys.quarantine, 0, -1) == [b"default/j1"]
    assert cell.redis.exists(cell.keys.input("default/j1"))
    assert cell.run(cell.store.recent("default", limit=10)) == []


def test_a_sweep_in_stretches_sees_every_job_also_when_it_forgets_some(cell: Cell) -> None:
    cell.submit_many(10)
    for i in (0, 3, 4, 9):
        cell.redis.delete(cell.keys.job(f"default/j{i}"))
    cell.redis.delete(cell.keys.ready(STANDARD, "default"), cell.keys.turn(STANDARD))

    cursor, forgotten, mended = 0, 0, 0
    for _ in range(10):
        swept = cell.run(cell.store.sweep("default", cursor=cursor, limit=3, result_ttl_s=TTL_S))
        cursor, forgotten, mended = swept.cursor, forgotten + swept.forgotten, mended + swept.mended
        if not cursor:
            break

    assert (cursor, forgotten, mended) == (0, 4, 6)


# --- reading -------------------------------------------------------------------------------------------------


def test_depths_count_what_waits_of_all_tenants_and_how_long(cell: Cell) -> None:
    cell.submit("j1", tenant="a")
    cell.submit("j2", tenant="b")
    cell.submit("j3", tenant="b", tier=Tier.SPOT)
    cell.redis.hincrby(cell.keys.job("b/j2"), "q", -5_000)

    depths = cell.run(cell.store.depths(GROUPS))

    assert [depth[:2] for depth in depths] == [("m@1:priority", 0), ("m@1:standard", 2), ("m@1:spot", 1)]
    assert depths[0].oldest_age_ms == 0
    assert 5_000 <= depths[1].oldest_age_ms < 65_000


def place_of(cell: Cell, member: str, *others: str) -> Place:
    job = cell.job(member)
    group = group_of(job.ref, job.tier)
    return cell.run(cell.store.place(job.tenant, group, job.score, others, member=member))


def test_a_place_counts_the_tenants_jobs_before_it(cell: Cell) -> None:
    for i in range(3):
        cell.submit(f"j{i}")

    assert [Place(i, i) for i in range(3)] == [place_of(cell, f"default/j{i}") for i in range(3)]


def test_jobs_that_came_in_one_call_have_places_one_after_the_other(cell: Cell) -> None:
    jobs = [new_job(f"j{i}") for i in range(3)]
    cell.run(cell.store.submit_many(jobs, cap=10))

    assert [Place(i, i) for i in range(3)] == [place_of(cell, job.member) for job in jobs]


def test_a_place_counts_of_other_tenants_what_is_served_meanwhile(cell: Cell) -> None:
    for i in range(5):
        cell.submit(f"a{i}", tenant="a")
    cell.submit("b0", tenant="b")
    cell.submit("mine0")
    cell.submit("mine1")

    # By turns: one of a, the one of b, then mine; then another of a, and mine.
    assert [Place(2, 0), Place(4, 1)] == [place_of(cell, f"default/mine{i}") for i in range(2)]


def test_a_place_counts_of_other_tiers_what_is_served_first(cell: Cell) -> None:
    cell.submit("spot", tier=Tier.SPOT)
    cell.submit("urgent", tier=Tier.PRIORITY)
    cell.submit("standard")
    priority, standard, spot = GROUPS

    assert Place(1, 0) == place_of(cell, "default/standard", priority, spot)
    assert Place(2, 0) == place_of(cell, "default/spot", priority, standard)
    assert Place(0, 0) == place_of(cell, "default/spot")


def test_a_place_that_python_computes_is_the_one_that_the_script_gives(cell: Cell) -> None:
    soon = cell.now_ms() + 5_000
    for tier in Tier:
        for name, deadline_ms in (("plain", 0), ("due", soon)):
            submitted = cell.submit(f"{tier}-{name}", tier=tier, deadline_ms=deadline_ms)

            expected = score_of(tier, arrival_ms=submitted.now_ms, deadline_ms=deadline_ms)
            assert abs(expected - cell.job(submitted.member).score) <= 1.001


def test_recent_jobs_come_newest_first(cell: Cell) -> None:
    for i in range(3):
        cell.submit(f"j{i}")
    cell.redis.zadd(cell.keys.index("default"), {f"default/j{i}": i for i in range(3)})

    assert cell.run(cell.store.recent("default", limit=2)) == ["default/j2", "default/j1"]


def test_what_is_not_there_reads_as_none(cell: Cell) -> None:
    assert cell.run(cell.store.read("default/none")) is None
    assert cell.run(cell.store.output("default/none")) is None
