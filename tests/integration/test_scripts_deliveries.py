"""What couriers do to the outbox: leases, charges, and what stands in the records of deliveries."""

from headrace.delivery_store import Followed, Place
from headrace.jobs import JobStatus
from headrace.webhooks import Delivery, DeliveryState, delivery_id_of
from tests.integration.old_scripts import OldCell
from tests.integration.script_cell import Cell
from tests.integration.script_ledger import WITH_STARTS

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


def submit_with_starts(cell: Cell, job_id: str = "j1", **fields: int) -> None:
    cell.submit(job_id, webhook_url="https://example.com/", webhook_letters=WITH_STARTS, **fields)


def told(cell: Cell) -> list[tuple[str, str]]:
    """What a courier finds: event and id, in the order of their numbers."""
    return sorted((due.id, due.event) for due in cell.claim_deliveries())


def test_a_start_is_told_before_the_end_and_the_numbers_rise(cell: Cell) -> None:
    submit_with_starts(cell)

    leases = cell.take_and_start()
    [started] = cell.claim_deliveries()
    cell.commit(leases)
    [ended] = cell.claim_deliveries()

    assert ("default/j1:1", "job.started") == (started.id, started.event)
    assert ("default/j1:2", "job.succeeded") == (ended.id, ended.event)


def test_each_attempt_has_a_start_of_its_own(cell: Cell) -> None:
    submit_with_starts(cell, max_attempts=2)

    cell.fail(cell.take_and_start())
    cell.fail(cell.take_and_start())

    due = sorted(cell.claim_deliveries())
    assert ["job.started", "job.started", "job.failed"] == [each.event for each in due]
    assert [1, 2] == [each.earlier.attempts for each in due if each.earlier]


def test_what_a_start_says_does_not_change_with_the_job(cell: Cell) -> None:
    submit_with_starts(cell)
    leases = cell.take_and_start()
    begun_ms = cell.job("default/j1").started_ms
    cell.run(cell.store.release(leases))
    cell.take_and_start()

    first, second = sorted(cell.claim_deliveries())

    assert begun_ms == (first.earlier and first.earlier.at_ms)
    assert [1, 1] == [each.earlier.attempts for each in (first, second) if each.earlier]


def test_nobody_is_told_of_a_start_that_did_not_ask(cell: Cell) -> None:
    cell.submit("j1", webhook_url="https://example.com/")
    cell.submit("silent")

    cell.take_and_start()

    assert [] == told(cell)
    assert 1 == cell.job("default/j1").next_seq


def test_a_start_that_is_sent_twice_is_told_once(cell: Cell) -> None:
    submit_with_starts(cell)
    leases = cell.take_and_start()

    cell.run(cell.store.start(leases))

    assert [("default/j1:1", "job.started")] == told(cell)


def test_a_start_that_was_told_leaves_its_job_as_it_is(cell: Cell) -> None:
    submit_with_starts(cell)
    leases = cell.take_and_start()

    cell.settle(cell.claim_deliveries(), DeliveryState.DELIVERED)

    assert -1 == cell.redis.ttl(cell.keys.job("default/j1"))
    assert cell.redis.ttl(cell.keys.delivery(DELIVERY)) > 0
    cell.commit(leases)
    assert [("default/j1:2", "job.succeeded")] == told(cell)


def test_a_start_is_replayed_while_its_job_is_kept(cell: Cell) -> None:
    submit_with_starts(cell)
    cell.take_and_start()
    cell.settle(cell.claim_deliveries(), DeliveryState.FAILED)

    assert [True] == cell.run(cell.deliveries.replay([DELIVERY], result_ttl_s=60))

    assert [("default/j1:1", "job.started")] == told(cell)
    assert -1 == cell.redis.ttl(cell.keys.job("default/j1"))


def test_an_end_that_an_older_process_numbered_like_a_start_is_told_all_the_same(cell: Cell) -> None:
    submit_with_starts(cell)
    leases = cell.take_and_start()
    assert "1" == OldCell(cell).commit(leases)

    cell.settle(cell.claim_deliveries(), DeliveryState.DELIVERED)

    assert JobStatus.SUCCEEDED is cell.status("default/j1")
    assert [("default/j1:2", "job.succeeded")] == told(cell)


def follow(cell: Cell, after: Place | None, *, limit: int = 100, tenant: str = "default") -> Followed:
    return cell.run(cell.deliveries.follow(tenant, after, limit=limit, most_output_bytes=1000))


def pass_a_millisecond(cell: Cell) -> None:
    """What is begun in a millisecond is shown when that is over."""
    now_ms = cell.now_ms()
    while cell.now_ms() == now_ms:
        pass


def test_a_listener_is_shown_what_is_begun_from_then_on_in_its_order(cell: Cell) -> None:
    end(cell, "before")
    cell.claim_deliveries()
    pass_a_millisecond(cell)
    start = follow(cell, None)
    submit_with_starts(cell, "a")
    leases = cell.take_and_start()
    cell.claim_deliveries()
    pass_a_millisecond(cell)
    cell.commit(leases)
    cell.claim_deliveries()
    pass_a_millisecond(cell)

    followed = follow(cell, start.place)

    assert [] == start.deliveries
    assert ["job.started", "job.succeeded"] == [each.due.event for each in followed.deliveries]
    assert [None, b'"done"'] == [each.due.output for each in followed.deliveries]
    assert Place(followed.place.at_ms, "default/a:2") == followed.place
    assert [] == follow(cell, followed.place).deliveries


def test_a_listener_sees_all_that_began_at_once_however_few_it_asks_for(cell: Cell) -> None:
    start = follow(cell, None)
    for number in range(5):
        end(cell, f"j{number}")
    cell.claim_deliveries()
    pass_a_millisecond(cell)

    place, seen = start.place, list[str]()
    for _ in range(4):
        place, some = follow(cell, place, limit=2)
        seen += [each.due.id for each in some]

    assert [f"default/j{number}:1" for number in range(5)] == seen


def test_what_a_tenant_is_told_is_shown_to_no_other(cell: Cell) -> None:
    start = follow(cell, None, tenant="other")
    end(cell)
    cell.claim_deliveries()
    pass_a_millisecond(cell)

    assert [] == follow(cell, start.place, tenant="other").deliveries
    assert [] == follow(cell, Place(start.place.at_ms, DELIVERY), tenant="other").deliveries


def test_a_place_is_read_as_it_was_written() -> None:
    for place in (Place(7), Place(7, "acme/c1-x.y:12")):
        assert place == Place.parse(str(place), "acme")
    assert "acme" not in str(Place(7, "acme/c1-x:1"))
