"""What couriers do to the outbox: leases, charges, and what stands in the records of deliveries."""

from headrace.webhooks import Delivery, DeliveryState, delivery_id_of
from tests.integration.script_cell import Cell

DELIVERY = delivery_id_of("default/j1")


def end(cell: Cell, job_id: str = "j1") -> None:
    """A job with a webhook has ended."""
    cell.submit(job_id, webhook_url="https://example.com/")
    cell.commit(cell.take_and_start(jobs=1))


def delivery(cell: Cell) -> Delivery:
    [found] = cell.run(cell.deliveries.read([DELIVERY]))
    return found


def test_a_delivery_is_charged_an_attempt_when_it_is_leased(cell: Cell) -> None:
    end(cell)

    [due] = cell.claim_deliveries()

    assert (1, 1) == (due.attempts, delivery(cell).attempts)
    assert [] == cell.claim_deliveries()


def test_a_lease_that_runs_out_is_one_attempt_more_under_another_fence(cell: Cell) -> None:
    end(cell)
    [first] = cell.claim_deliveries()
    cell.lapse_deliveries()

    [second] = cell.claim_deliveries()

    assert (DELIVERY, 2) == (second.id, second.attempts)
    assert second.fence > first.fence
    assert [False] == cell.settle([first], DeliveryState.DELIVERED)


def test_a_delivery_that_is_given_back_is_charged_nothing_and_keeps_its_outcome(cell: Cell) -> None:
    end(cell)
    cell.settle(cell.claim_deliveries(), DeliveryState.PENDING, outcome="http_500")
    cell.lapse_deliveries()
    due = cell.claim_deliveries()

    assert [True] == cell.give_back(due)

    found = delivery(cell)
    assert (1, "http_500", DeliveryState.PENDING) == (found.attempts, found.outcome, found.state)
    assert found.due_ms is not None
    assert found.due_ms > cell.now_ms()


def test_who_gave_a_delivery_back_can_settle_it_no_more(cell: Cell) -> None:
    end(cell)
    due = cell.claim_deliveries()
    cell.give_back(due)

    assert [False] == cell.give_back(due)
    assert [False] == cell.settle(due, DeliveryState.FAILED)
    assert 0 == delivery(cell).attempts


def test_a_delivery_that_is_replayed_is_due_at_once_from_the_first_attempt_on(cell: Cell) -> None:
    end(cell)
    cell.settle(cell.claim_deliveries(), DeliveryState.FAILED, outcome="http_500")

    assert [True] == cell.run(cell.deliveries.replay([DELIVERY], result_ttl_s=60))

    assert (0, DeliveryState.PENDING) == (delivery(cell).attempts, delivery(cell).state)
    [due] = cell.claim_deliveries()
    assert (DELIVERY, 1) == (due.id, due.attempts)


def test_what_is_replayed_is_kept_until_it_is_told(cell: Cell) -> None:
    end(cell)
    cell.settle(cell.claim_deliveries(), DeliveryState.FAILED)
    keys = [cell.keys.job("default/j1"), cell.keys.output("default/j1"), cell.keys.hook("default/j1")]

    cell.run(cell.deliveries.replay([DELIVERY], result_ttl_s=60))

    assert min(cell.redis.ttl(key) for key in keys) > 4 * 86_400
    cell.settle(cell.claim_deliveries(), DeliveryState.DELIVERED)
    assert max(cell.redis.ttl(key) for key in keys) <= 600


def test_the_input_of_a_failed_job_is_kept_as_long_as_the_job_whose_end_is_told_again(cell: Cell) -> None:
    cell.submit("j1", webhook_url="https://example.com/", max_attempts=1)
    cell.fail(cell.take_and_start())
    cell.settle(cell.claim_deliveries(), DeliveryState.FAILED)

    cell.run(cell.deliveries.replay([DELIVERY], result_ttl_s=60))

    assert cell.redis.ttl(cell.keys.input("default/j1")) > 4 * 86_400


def test_what_has_not_ended_or_tells_nobody_is_not_replayed(cell: Cell) -> None:
    cell.submit("waits", webhook_url="https://example.com/")
    cell.submit("silent")
    names = [delivery_id_of(f"default/{job_id}") for job_id in ("waits", "silent", "nobody")]

    assert [False] * 4 == cell.run(cell.deliveries.replay([*names, "no delivery"], result_ttl_s=60))

    assert [] == cell.claim_deliveries()
