"""Stories: what late and repeated words of workers and couriers come to, without a stop."""

from headrace.jobs import Cause
from headrace.webhooks import DeliveryState
from tests.integration.script_ledger import Ledger


def a_silent_worker_comes_back(ledger: Ledger) -> None:
    """Its job was taken from it, then given to another; whatever it sends now must be refused."""
    ledger.submit("again")
    ledger.submit("last", max_attempts=1)
    ledger.submit("canceled")
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
    leases = ledger.take(jobs=1, start=True) + ledger.take()
    ledger.cancel("default/canceled")
    ledger.commit(leases)
    for member in ("default/done", "default/canceled"):
        ledger.cancel(member)
    ledger.commit(leases)
    ledger.fail(leases)
    ledger.release(leases)
    ledger.start(leases)
    ledger.progress(leases)


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
    a_silent_courier_comes_back,
    a_courier_gives_a_delivery_back_and_then_speaks_of_it,
)
