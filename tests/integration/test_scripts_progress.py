"""How far passes are: who may say so, what stands in the record, and what is told of it."""

import pytest

from headrace.endpoints import Event, letters_of
from headrace.jobs import JobStatus, Lease, Progress
from headrace.store_work import PassProgress
from headrace.webhooks import DeliveryState
from tests.integration.script_cell import Cell

ASKED = letters_of(frozenset({Event.STARTED, Event.PROGRESS, Event.SUCCEEDED}))
URL = "https://example.com/"


def say(cell: Cell, lease: Lease, fraction: float, message: str = "") -> bool:
    [noted] = cell.run(cell.store.progress([PassProgress(lease, fraction, message)]))
    return noted


def shown(cell: Cell, member: str = "default/j1") -> tuple[float, str] | None:
    progress = cell.job(member).progress
    return progress and (progress.fraction, progress.message)


def tell(cell: Cell) -> list[tuple[str, str]]:
    """A courier tells all that is due; answers ids and events in the order of their numbers."""
    due = sorted(cell.claim_deliveries())
    cell.settle(due, DeliveryState.DELIVERED)
    return [(each.id, each.event) for each in due]


def test_the_newest_word_stands_in_the_record(cell: Cell) -> None:
    cell.submit()
    [lease] = cell.take_and_start()

    assert [True, True] == [say(cell, lease, 0.25, "warming"), say(cell, lease, 0.5, "denoising")]

    assert (0.5, "denoising") == shown(cell)
    progress, started_ms = cell.job("default/j1").progress, cell.job("default/j1").started_ms
    assert progress is not None
    assert progress.at_ms >= (started_ms or 0) > 0


def test_within_an_attempt_it_never_goes_back(cell: Cell) -> None:
    cell.submit()
    [lease] = cell.take_and_start()
    say(cell, lease, 0.5, "first")

    say(cell, lease, 0.2, "once more, without the culprit")

    assert (0.5, "once more, without the culprit") == shown(cell)


def test_it_stays_with_the_job_that_has_ended(cell: Cell) -> None:
    cell.submit()
    leases = cell.take_and_start()
    say(cell, leases[0], 0.9)

    cell.commit(leases)

    assert (0.9, "") == shown(cell)
    assert not say(cell, leases[0], 1.0)
    assert (0.9, "") == shown(cell)


def test_a_late_word_of_a_lost_worker_is_refused(cell: Cell) -> None:
    cell.submit()
    [late] = cell.take_and_start()
    say(cell, late, 0.9)
    cell.lapse_leases()
    cell.reap()

    assert (False, None) == (say(cell, late, 1.0), shown(cell))

    [lease] = cell.take_and_start(worker="w2")
    assert (False, None) == (say(cell, late, 1.0), shown(cell))
    assert say(cell, lease, 0.1, "anew")
    assert (0.1, "anew") == shown(cell)


@pytest.mark.parametrize("state", [JobStatus.QUEUED, JobStatus.CANCELING])
def test_only_what_runs_makes_progress(cell: Cell, state: JobStatus) -> None:
    cell.submit(webhook_url=URL, webhook_letters=ASKED)
    [lease] = cell.take() if state is JobStatus.QUEUED else cell.take_and_start()
    if state is JobStatus.CANCELING:
        cell.cancel("default/j1")
    tell(cell)

    assert not say(cell, lease, 0.5)

    assert (state, None, []) == (cell.status("default/j1"), shown(cell), tell(cell))


def test_it_is_told_between_start_and_end_under_rising_numbers(cell: Cell) -> None:
    cell.submit(webhook_url=URL, webhook_letters=ASKED)
    leases = cell.take_and_start()
    told = tell(cell)
    for fraction in (0.25, 0.5):
        say(cell, leases[0], fraction)
        told += tell(cell)
    cell.commit(leases)

    told += tell(cell)

    assert ["job.started", "job.progress", "job.progress", "job.succeeded"] == [event for _, event in told]
    assert [f"default/j1:{seq}" for seq in (1, 2, 3, 4)] == [delivery for delivery, _ in told]


def test_what_is_told_does_not_change_with_the_job(cell: Cell) -> None:
    cell.submit(webhook_url=URL, webhook_letters=letters_of(frozenset({Event.PROGRESS})))
    leases = cell.take_and_start()
    started_ms = cell.job("default/j1").started_ms
    say(cell, leases[0], 0.25, "warming")
    said = cell.job("default/j1").progress
    say(cell, leases[0], 0.5)
    cell.run(cell.store.release(leases))
    cell.take_and_start()

    [due] = cell.claim_deliveries()

    assert due.earlier is not None
    assert (started_ms, said, 1) == (due.earlier.started_ms, due.earlier.progress, due.earlier.attempts)
    assert Progress(0.25, "warming", due.earlier.at_ms) == due.earlier.progress


def test_one_word_waits_at_a_time_and_the_end_is_told_all_the_same(cell: Cell) -> None:
    cell.submit(webhook_url=URL, webhook_letters=ASKED)
    leases = cell.take_and_start()

    for step in range(5):
        say(cell, leases[0], step / 10)
    cell.commit(leases)

    assert ["job.started", "job.progress", "job.succeeded"] == [event for _, event in tell(cell)]
    assert (0.4, "") == shown(cell)


def test_nobody_is_told_of_progress_that_did_not_ask(cell: Cell) -> None:
    cell.submit("usual", webhook_url=URL)
    cell.submit("starts", webhook_url=URL, webhook_letters=letters_of(frozenset({Event.STARTED, Event.FAILED})))
    cell.submit("silent")
    leases = cell.take_and_start()
    tell(cell)

    for lease in leases:
        assert say(cell, lease, 0.5)

    assert [] == tell(cell)
    assert (0.5, "") == shown(cell, "default/silent")
    assert [1, 2] == [cell.job(f"default/{job_id}").next_seq for job_id in ("usual", "starts")]


def test_the_record_stays_a_listpack_with_the_longest_message(cell: Cell) -> None:
    cell.submit()
    [lease] = cell.take_and_start()

    say(cell, lease, 1 / 3, "x" * 64)

    assert (0.3333, "x" * 64) == shown(cell)
    assert b"listpack" == cell.redis.object("encoding", cell.keys.job("default/j1"))


def test_progress_is_told_again_when_asked_for(cell: Cell) -> None:
    cell.submit(webhook_url=URL, webhook_letters=ASKED)
    [lease] = cell.take_and_start()
    say(cell, lease, 0.5, "half")
    tell(cell)

    assert [True] == cell.run(cell.deliveries.replay(["default/j1:2"], result_ttl_s=60))

    [due] = cell.claim_deliveries()
    assert due.earlier is not None
    assert due.earlier.progress is not None
    assert ("half", 0.5) == (due.earlier.progress.message, due.earlier.progress.fraction)


def test_a_note_of_whom_to_tell_that_is_none_stops_nobody(cell: Cell) -> None:
    cell.submit(webhook_url=URL, webhook_letters=ASKED)
    cell.redis.hset(cell.keys.job("default/j1"), "h", "sp")
    [lease] = cell.take_and_start()

    assert say(cell, lease, 0.5)
    assert (0.5, "") == shown(cell)
