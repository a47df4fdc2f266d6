"""The jobs that a worker has leased and not ended."""

import math

import pytest

from headrace.jobs import Cause, Lease
from headrace.presence import GroupLoad
from headrace.store_work import ClaimedJob
from workers.claim_policy import Staged
from workers.held_jobs import HeldJob, HeldJobs


def hold(held: HeldJobs, name: str) -> HeldJob:
    return held.add(ClaimedJob(f"default/{name}", 7, 0, 3, 0, b"x"), group="a@1:standard")


def test_jobs_are_staged_until_their_pass_begins() -> None:
    held = HeldJobs()
    first, second = hold(held, "first"), hold(held, "second")

    started = held.start([first.slot])

    assert [first] == started
    assert (held.running, held.staged.jobs) == (1, 1)
    assert not second.running


def test_a_removed_job_counts_no_more() -> None:
    held = HeldJobs()
    job = hold(held, "first")
    held.start([job.slot])

    assert job is held.remove(job.slot)

    assert (len(held), held.running, held.staged.jobs) == (0, 0, 0)
    assert None is held.remove(job.slot)


def test_slots_that_are_not_held_are_passed_over() -> None:
    held = HeldJobs()

    assert held.start([99]) == []
    assert held.running == 0


def test_when_the_child_is_gone_nothing_runs_and_everything_is_still_held() -> None:
    held = HeldJobs()
    job = hold(held, "first")
    held.start([job.slot])

    held.stop_running({"a@1"})

    assert (held.running, held.staged.jobs) == (0, 1)
    assert [Lease("default/first", 7)] == held.leases()


def test_what_runs_in_another_process_goes_on() -> None:
    held = HeldJobs()
    job = hold(held, "first")
    held.start([job.slot])

    held.stop_running({"b@1"})

    assert (held.running, job.running) == (1, True)


def test_no_slot_is_used_twice() -> None:
    held = HeldJobs()
    first = hold(held, "first")
    held.remove(first.slot)

    assert first.slot != hold(held, "second").slot


def test_loads_tell_what_is_held_and_runs_of_each_group() -> None:
    held = HeldJobs()
    first = hold(held, "first")
    hold(held, "second")
    held.start([first.slot])

    assert {"a@1:standard": GroupLoad(held=2, running=1)} == held.loads()


def test_a_job_is_suspected_no_longer_than_it_is_held() -> None:
    held = HeldJobs()
    jobs = [hold(held, "first"), hold(held, "second")]
    slots = [job.slot for job in jobs]

    held.blame(slots, {"a@1"}, Cause.TIMEOUT)
    held.remove(slots[0])

    assert [False, True] == [slot in held.suspects for slot in slots]
    assert [] == held.blame([99], {"a@1"}, Cause.TIMEOUT)
    assert [jobs[1]] == held.blame([slots[1]], {"a@1"}, Cause.TIMEOUT)


@pytest.mark.parametrize(("cause", "given_up"), [(Cause.TIMEOUT, 1), (Cause.WORKER_LOST, 0)])
def test_a_job_alone_has_no_second_chance_for_a_cause_that_it_does_not_name(cause: Cause, given_up: int) -> None:
    held = HeldJobs()
    job = held.add(ClaimedJob("default/j", 7, 0, 3, 0, b"x", retry_on=(Cause.WORKER_LOST,)), group="a@1:standard")

    assert given_up == len(held.blame([job.slot], {"a@1"}, cause))


def test_passes_may_overlap() -> None:
    held = HeldJobs()
    first, second = hold(held, "first"), hold(held, "second")
    held.start([first.slot])

    held.start([second.slot])

    assert (held.running, held.staged.jobs) == (2, 0)
    held.remove(first.slot)
    assert held.running == 1


def test_what_is_staged_is_counted_in_bytes_and_urgent_jobs_too() -> None:
    held = HeldJobs()
    urgent = held.add(ClaimedJob("default/u", 7, 0, 3, 0, b"12345"), group="a@1:priority")
    standard = held.add(ClaimedJob("default/s", 7, 0, 3, 0, b"123"), group="a@1:standard")
    assert Staged(jobs=2, bytes=8, urgent=1) == held.staged

    held.start([urgent.slot])
    assert Staged(jobs=1, bytes=3, urgent=0) == held.staged
    held.stop_running({"a@1"})
    assert Staged(jobs=2, bytes=8, urgent=1) == held.staged
    held.remove(urgent.slot)
    held.remove(standard.slot)
    assert Staged(jobs=0, bytes=0, urgent=0) == held.staged


def test_a_job_knows_its_model_tier_and_deadline() -> None:
    held = HeldJobs()
    job = ClaimedJob("default/j", 7, 0, 3, 0, b"x", deadline_in_ms=1500)

    due = held.add(job, group="a@1:spot", claimed_at=10.0)

    assert ("a@1", 2, 11.5) == (due.ref, due.tier, due.deadline_s)
    assert math.inf == hold(held, "other").deadline_s


def test_the_only_job_of_a_tenant_leads_until_it_runs() -> None:
    held = HeldJobs()

    def add(member: str) -> HeldJob:
        return held.add(ClaimedJob(member, 7, 0, 3, 0, b"x"), group="a@1:standard")

    first, second, other = add("a/1"), add("a/2"), add("b/1")
    held.start([other.slot])
    next_of_b, third = add("b/2"), add("a/3")

    leading = [job.leads for job in (first, second, other, next_of_b, third)]
    assert leading == [True, False, True, True, False]


def test_a_job_is_overdue_once_its_pass_took_longer_than_it_may() -> None:
    held = HeldJobs()
    hasty = held.add(ClaimedJob("default/hasty", 7, 0, 3, 0, b"x", run_timeout_s=2.0), group="a@1:standard")
    patient = hold(held, "patient")

    waiting = held.overdue(1_000.0)
    held.start([hasty.slot, patient.slot], now=100.0)

    assert [[], [], [hasty]] == [waiting, held.overdue(102.0), held.overdue(102.1)]
    held.stop_running({"a@1"})
    assert [] == held.overdue(102.1)


def test_of_jobs_that_come_together_the_first_of_each_tenant_leads() -> None:
    held = HeldJobs()
    hold(held, "first")

    members = ("default/b", "c/d", "c/e")
    jobs = held.add_all((ClaimedJob(member, 7, 0, 3, 0, b"x"), "a@1:standard") for member in members)

    assert [False, True, False] == [job.leads for job in jobs]
    assert held.staged == Staged(jobs=4, bytes=4, urgent=0)


def test_jobs_go_together_whatever_each_was_at() -> None:
    held = HeldJobs()
    running, staged = hold(held, "running"), hold(held, "staged")
    urgent = held.add(ClaimedJob("default/urgent", 7, 0, 3, 0, b"xy"), group="a@1:priority")
    held.start([running.slot])

    removed = held.remove_all([staged.slot, 99, running.slot])

    assert [staged, None, running] == removed
    assert (held.all(), held.running, held.staged) == ([urgent], 0, Staged(jobs=1, bytes=2, urgent=1))


def test_a_tenant_that_is_served_leads_again() -> None:
    held = HeldJobs()
    held.start([hold(held, "first").slot])
    held.remove_all([hold(held, "second").slot])

    assert hold(held, "third").leads
