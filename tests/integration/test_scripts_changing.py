"""Jobs that are changed while they wait, and jobs that are deleted in any state."""

import pytest

from headrace.groups import group_of
from headrace.jobs import Cause, JobStatus
from headrace.store_submissions import Amendment
from headrace.store_work import CommitAnswer
from headrace.tiers import Tier
from headrace.webhooks import DeliveryState
from tests.integration.script_cell import REF, TTL_S, Cell
from tests.integration.script_ledger import WITH_STARTS

MEMBER = "default/j1"
URL = "https://example.com/hook"
PRIORITY, SPOT = group_of(REF, Tier.PRIORITY), group_of(REF, Tier.SPOT)


# --- changing ------------------------------------------------------------------------------------------------


def test_a_job_changes_its_tier_and_keeps_its_age(cell: Cell) -> None:
    cell.submit("j1")
    cell.submit("later", tier=Tier.PRIORITY)

    assert "amended" == cell.amend(MEMBER, tier=Tier.PRIORITY)

    assert ([], [MEMBER, "default/later"]) == (cell.ready(), cell.ready(PRIORITY))
    assert Tier.PRIORITY is cell.job(MEMBER).tier
    assert [MEMBER, "default/later"] == [job.member for job in cell.claim().jobs]


def test_a_worker_that_waits_for_the_new_tier_is_woken(cell: Cell) -> None:
    cell.submit("j1")

    cell.amend(MEMBER, tier=Tier.SPOT)

    assert 1 == cell.rings(SPOT)


def test_a_deadline_that_is_given_brings_a_job_forward_and_is_watched(cell: Cell) -> None:
    cell.submit("first")
    cell.submit("j1")
    soon = cell.now_ms() + 10_000

    cell.amend(MEMBER, deadline_ms=soon)

    assert [MEMBER, "default/first"] == cell.ready()
    assert soon == cell.job(MEMBER).deadline_ms
    assert soon == cell.redis.zscore(cell.keys.deadlines, MEMBER)


def test_a_deadline_that_is_given_is_told_to_whoever_claims_the_job(cell: Cell) -> None:
    cell.submit("j1")

    cell.amend(MEMBER, deadline_ms=cell.now_ms() + 10_000)

    [job] = cell.claim().jobs
    assert 0 < (job.deadline_in_ms or 0) <= 10_000


@pytest.mark.parametrize(("start_by", "watched"), [(0, None), (9_000_000_000_000, 9_000_000_000_000)])
def test_a_deadline_that_is_taken_away_is_watched_no_longer(cell: Cell, start_by: int, watched: int | None) -> None:
    cell.submit("first")
    cell.submit("j1", deadline_ms=cell.now_ms() + 10_000, start_by_ms=start_by)

    cell.amend(MEMBER, deadline_ms=0)

    assert cell.job(MEMBER).deadline_ms is None
    assert ["default/first", MEMBER] == cell.ready()
    assert watched == cell.redis.zscore(cell.keys.deadlines, MEMBER)


def test_what_is_noted_beside_a_job_is_replaced_or_taken_away(cell: Cell) -> None:
    cell.submit("j1")

    cell.amend(MEMBER, metadata=b'{"a":"b"}')
    noted = cell.job(MEMBER).has_metadata, cell.run(cell.store.metadata(MEMBER))
    cell.amend(MEMBER, metadata=b"{}")

    assert (True, b'{"a":"b"}') == noted
    assert (False, None) == (cell.job(MEMBER).has_metadata, cell.run(cell.store.metadata(MEMBER)))


def test_a_delayed_job_stays_delayed(cell: Cell) -> None:
    cell.submit("j1", not_before_ms=cell.now_ms() + 60_000)

    cell.amend(MEMBER, tier=Tier.SPOT)
    assert [[], []] == [cell.ready(), cell.ready(SPOT)]
    cell.lapse_delays()
    cell.run(cell.store.promote(limit=10))

    assert [MEMBER] == cell.ready(SPOT)


def test_a_job_that_a_worker_has_or_that_has_ended_is_not_changed(cell: Cell) -> None:
    cell.submit("j1")
    leases = cell.take()
    held = cell.amend(MEMBER, tier=Tier.SPOT)
    cell.run(cell.store.start(leases))
    running = cell.amend(MEMBER, tier=Tier.SPOT)
    cell.commit(leases)

    assert ["held", "running", "succeeded"] == [held, running, cell.amend(MEMBER, tier=Tier.SPOT)]
    assert Tier.STANDARD is cell.job(MEMBER).tier


def test_a_change_that_rests_on_what_is_no_longer_so_is_refused(cell: Cell) -> None:
    cell.submit("j1")
    before = cell.job(MEMBER)
    cell.amend(MEMBER, tier=Tier.SPOT)

    amended = cell.run(cell.store.amend(before, Amendment(deadline_ms=0), cap=10))

    assert amended is not None
    assert "changed" == amended.outcome


def test_a_full_queue_takes_no_job_of_another_tier(cell: Cell) -> None:
    cell.submit("there", tier=Tier.SPOT)
    cell.submit("j1")

    assert "full" == cell.amend(MEMBER, cap=1, tier=Tier.SPOT)
    assert [MEMBER] == cell.ready()


# --- told to others ------------------------------------------------------------------------------------------


def told(cell: Cell) -> list[tuple[str, str, bool]]:
    """What couriers find to tell: which event, to whom, and whether it is an end."""
    return [(due.id, due.url, due.earlier is None) for due in cell.claim_deliveries()]


def started_and_given_back(cell: Cell) -> None:
    """A job waits again after an attempt whose start is to be told."""
    cell.submit("j1", webhook_url=URL, webhook_letters=WITH_STARTS)
    cell.fail(cell.take_and_start())


@pytest.mark.parametrize("letters", ["", WITH_STARTS])
def test_a_job_that_nobody_was_to_be_told_of_gets_somebody(cell: Cell, letters: str) -> None:
    cell.submit("j1")

    assert "amended" == cell.amend(MEMBER, webhook_url=URL, webhook_letters=letters)

    assert (True, letters) == (cell.job(MEMBER).has_webhook, cell.job(MEMBER).webhook_letters)
    cell.commit(cell.take())
    assert [(f"{MEMBER}:1", URL, True)] == told(cell)


def test_nobody_is_told_of_a_job_whose_webhook_was_taken_away(cell: Cell) -> None:
    cell.submit("j1", webhook_url=URL)

    cell.amend(MEMBER, webhook_url="")
    cell.commit(cell.take_and_start())

    assert (False, []) == (cell.job(MEMBER).has_webhook, told(cell))
    assert 0 == cell.redis.exists(cell.keys.hook(MEMBER))
    assert 0 < cell.redis.ttl(cell.keys.job(MEMBER)) <= TTL_S


def test_what_was_to_be_told_to_a_former_receiver_is_told_to_nobody(cell: Cell) -> None:
    started_and_given_back(cell)

    cell.amend(MEMBER, webhook_url="https://example.com/new")
    cell.commit(cell.take())

    assert [(f"{MEMBER}:2", "https://example.com/new", True)] == told(cell)
    [start] = cell.run(cell.deliveries.read([f"{MEMBER}:1"]))
    assert (DeliveryState.FAILED, "withdrawn") == (start.state, start.outcome)
    assert [False, True] == cell.run(cell.deliveries.replay([f"{MEMBER}:1", f"{MEMBER}:2"], result_ttl_s=TTL_S))


def test_who_stays_the_receiver_is_still_told_what_was_to_be_told(cell: Cell) -> None:
    started_and_given_back(cell)

    cell.amend(MEMBER, webhook_url=URL)

    assert [(f"{MEMBER}:1", URL, False)] == told(cell)
    assert "" == cell.job(MEMBER).webhook_letters


def test_a_courier_that_was_under_way_to_a_former_receiver_does_not_go_to_the_new_one(cell: Cell) -> None:
    started_and_given_back(cell)
    under_way = cell.claim_deliveries()

    cell.amend(MEMBER, webhook_url="https://example.com/new")

    assert [False] == cell.settle(under_way, DeliveryState.PENDING, outcome="timeout")
    cell.lapse_deliveries()
    assert [] == told(cell)


def test_events_keep_their_numbers_though_nobody_was_told_of_them_for_a_while(cell: Cell) -> None:
    started_and_given_back(cell)
    cell.settle(cell.claim_deliveries(), DeliveryState.DELIVERED)

    cell.amend(MEMBER, webhook_url="")
    cell.amend(MEMBER, webhook_url=URL)
    cell.commit(cell.take())

    assert [(f"{MEMBER}:2", URL, True)] == told(cell)


# --- deleting ------------------------------------------------------------------------------------------------


def traces_of(cell: Cell, name: str) -> list[str]:
    """Every key, or member of an index or queue, that still names a job."""
    keys = [key.decode() for key in cell.redis.scan_iter(f"{cell.keys.prefix}*{name}*")]
    sets = cell.keys.index("default"), cell.keys.deadlines, cell.keys.delayed, cell.keys.leases
    members = [member.decode() for key in sets for member in cell.redis.zrange(key, 0, -1)]
    return keys + [member for member in [*members, *cell.ready()] if name in member]


@pytest.mark.parametrize("state", ["waits", "delayed", "claimed", "succeeded", "failed", "canceled"])
def test_nothing_is_left_of_a_job_that_is_deleted(cell: Cell, state: str) -> None:
    soon = cell.now_ms() + 60_000
    cell.submit("j1", deadline_ms=soon, metadata=b'{"a":"b"}', not_before_ms=soon if state == "delayed" else 0)
    leases = cell.take() if state in ("claimed", "succeeded", "failed") else []
    if state in ("succeeded", "failed"):
        cell.commit(leases, cause=Cause.WORKER_LOST if state == "failed" else None)
    if state == "canceled":
        cell.cancel(MEMBER)

    assert "erased" == cell.erase(MEMBER)

    assert [] == traces_of(cell, "j1")
    assert [CommitAnswer.REFUSED] * len(leases) == cell.commit(leases)
    assert [] == traces_of(cell, "j1")


def test_a_running_job_loses_its_input_at_once_and_never_comes_to_a_result(cell: Cell) -> None:
    cell.submit("j1", metadata=b'{"a":"b"}')
    leases = cell.take_and_start()

    assert "canceling" == cell.erase(MEMBER)
    left = [cell.run(op) for op in (cell.store.input(MEMBER), cell.store.metadata(MEMBER))]
    assert [CommitAnswer.REFUSED] == cell.commit(leases)

    assert [None, None] == left
    assert (JobStatus.CANCELED, None) == (cell.status(MEMBER), cell.output(MEMBER))
    assert "erased" == cell.erase(MEMBER)


def test_who_is_to_be_told_of_an_end_is_told_though_the_job_was_deleted(cell: Cell) -> None:
    cell.submit("j1", webhook_url="https://example.com/hook")
    cell.commit(cell.take_and_start())

    assert "untold" == cell.erase(MEMBER)
    [delivery] = cell.claim_deliveries()

    assert (JobStatus.SUCCEEDED, None) == (delivery.job.status, delivery.output)
    assert cell.output(MEMBER) is None


def test_a_deleted_job_cannot_be_sent_again_also_while_somebody_is_to_be_told(cell: Cell) -> None:
    cell.submit("j1", webhook_url="https://example.com/hook")
    cell.commit(cell.take_and_start(), cause=Cause.WORKER_LOST)

    assert "untold" == cell.erase(MEMBER)

    assert [] == cell.run(cell.store.dead_letters("default", limit=10))


def test_those_who_wait_for_a_deleted_job_hear_of_its_end(cell: Cell) -> None:
    cell.submit("j1")

    cell.erase(MEMBER)

    assert [f"{MEMBER} canceled"] == cell.events()


def test_what_is_not_there_cannot_be_deleted(cell: Cell) -> None:
    assert cell.erase("default/none") is None


@pytest.mark.parametrize("state", ["canceled", "expired", "failed"])
def test_a_job_without_a_result_keeps_its_input_as_long_as_its_record(cell: Cell, state: str) -> None:
    cell.submit("j1", deadline_ms=cell.now_ms() + 60_000, max_attempts=1)
    if state == "canceled":
        cell.cancel(MEMBER)
    elif state == "expired":
        cell.pass_deadlines(MEMBER)
        cell.expire()
    else:
        cell.fail(cell.take_and_start())

    assert b'"x"' == cell.run(cell.store.input(MEMBER))
    assert 0 < cell.redis.ttl(cell.keys.input(MEMBER)) <= cell.redis.ttl(cell.keys.job(MEMBER))
