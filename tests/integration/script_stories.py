"""Stories: what late and repeated words of workers and couriers come to, without a stop."""

from typing import Any

from headrace.jobs import Cause
from headrace.webhooks import DeliveryState
from tests.integration.script_ledger import Ledger, require


def a_silent_worker_comes_back(ledger: Ledger) -> None:
    """Its job was taken from it, then given to another; whatever it sends now must be refused."""
    ledger.submit("again")
    ledger.submit("last", max_attempts=1)
    ledger.submit("canceled")
    ledger.submit("plain", webhook_url="")
    late = ledger.take(start=True)
    ledger.cancel("default/canceled")
    ledger.reap()
    ledger.fail(late)
    ledger.commit(late)
    successor = ledger.take()
    ledger.start(late)
    ledger.progress(late)
    ledger.start(successor)
    ledger.progress(late)
    ledger.renew(late)
    ledger.release(late)
    ledger.commit(late, body=b'"late"')
    ledger.commit(late, cause=Cause.MODEL)
    ledger.commit(successor)
    ledger.commit(late, body=b'"late"')


def jobs_come_back_until_no_attempt_is_left(ledger: Ledger) -> None:
    """Failing and losing workers both use attempts up."""
    ledger.submit("fails", max_attempts=2)
    for _ in range(3):
        ledger.fail(ledger.take(start=True))
    ledger.submit("kills", max_attempts=2)
    for _ in range(3):
        ledger.take(start=True)
        ledger.reap()


def ended_jobs_are_ended_again(ledger: Ledger) -> None:
    """What has ended stays as it ended, whoever asks for what."""
    ledger.submit("done", deadline_ms=ledger.cell.now_ms() + 60_000)
    ledger.submit("canceled")
    ledger.submit("plain", webhook_url="")
    leases = ledger.take(jobs=1, start=True) + ledger.take()
    ledger.cancel("default/canceled")
    ledger.commit(leases)
    for member in ("default/done", "default/canceled", "default/plain"):
        ledger.cancel(member)
    ledger.commit(leases)
    ledger.fail(leases)
    ledger.release(leases)
    ledger.start(leases)
    ledger.progress(leases)


def passes_are_too_brief_for_their_starts_to_be_told(ledger: Ledger) -> None:
    """Jobs of all kinds end from their claim on, some of them badly."""
    soon = ledger.cell.now_ms() + 60_000
    for number in range(2):
        ledger.submit(f"plain{number}", webhook_url="")
        ledger.submit(f"told{number}")
        ledger.submit(f"due{number}", webhook_url="", deadline_ms=soon)
        ledger.submit(f"begins{number}", webhook_url="", start_by_ms=soon)
    good, bad = ledger.take(jobs=4), ledger.take()
    ledger.commit(good)
    ledger.commit(bad, cause=Cause.MODEL)
    ledger.commit(good + bad)


def submissions_come_again(ledger: Ledger) -> None:
    """Their answers were lost, and meanwhile their jobs have ended."""
    jobs: dict[str, dict[str, Any]] = {
        "plain": {"webhook_url": ""},
        "told": {},
        "named": {"is_named": True, "request_hash": "h"},
    }
    for job_id, fields in jobs.items():
        ledger.submit(job_id, **fields)
    ledger.commit(ledger.take())
    for job_id, fields in jobs.items():
        ledger.submit(job_id, **fields)


def a_server_forgets_a_claim(ledger: Ledger) -> None:
    """It came back from an older file, which the worker that claimed knows nothing of."""
    ledger.submit("plain", webhook_url="")
    ledger.submit("told")
    older = ledger.cell.save()
    forgotten = ledger.cell.take()
    ledger.cell.load(older)
    successor = ledger.take()
    require(not set(forgotten) & set(successor), "a fence was handed out twice")
    ledger.commit(forgotten, body=b'"late"')
    ledger.commit(successor)


def a_silent_courier_comes_back(ledger: Ledger) -> None:
    """Its delivery went to another courier, or is over; what it says now must change nothing."""
    ledger.submit("a")
    ledger.commit(ledger.take(start=True))
    late = ledger.claim_deliveries()
    successor = ledger.claim_deliveries()
    ledger.settle(late, DeliveryState.DELIVERED)
    ledger.settle(successor, DeliveryState.DELIVERED)
    ledger.settle(late, DeliveryState.PENDING)
    ledger.settle(successor, DeliveryState.PENDING)
    ledger.claim_deliveries()


def a_courier_gives_a_delivery_back_and_then_speaks_of_it(ledger: Ledger) -> None:
    """From then on it is somebody else's."""
    ledger.submit("a")
    ledger.commit(ledger.take(start=True))
    due = ledger.claim_deliveries()
    ledger.give_back(due)
    ledger.settle(due, DeliveryState.DELIVERED)
    ledger.give_back(due)
    ledger.settle(ledger.claim_deliveries(), DeliveryState.DELIVERED)


STORIES = (
    a_silent_worker_comes_back,
    jobs_come_back_until_no_attempt_is_left,
    ended_jobs_are_ended_again,
    passes_are_too_brief_for_their_starts_to_be_told,
    submissions_come_again,
    a_server_forgets_a_claim,
    a_silent_courier_comes_back,
    a_courier_gives_a_delivery_back_and_then_speaks_of_it,
)
