"""Submitting: what is kept, what is refused, and where a job takes its place."""

import pytest

from headrace.jobs import JobStatus
from headrace.store_records import SubmitOutcome
from headrace.tiers import Tier
from tests.integration.script_cell import GROUPS, STANDARD, Cell


def test_an_accepted_job_has_record_input_place_and_index(cell: Cell) -> None:
    submitted = cell.submit("j1", input=b'{"text":"a"}', max_attempts=5)

    job = cell.job("default/j1")
    assert submitted[:3] == (SubmitOutcome.ACCEPTED, "default/j1", 0)
    assert submitted.now_ms == job.created_ms
    assert (job.status, job.fence, job.attempts, job.max_attempts) == (JobStatus.QUEUED, 0, 0, 5)
    assert cell.redis.get(cell.keys.input("default/j1")) == b'{"text":"a"}'
    assert cell.ready() == ["default/j1"]
    assert cell.run(cell.store.recent("default", limit=10)) == ["default/j1"]
    assert cell.run(cell.store.tenants()) == ["default"]
    assert cell.run(cell.store.groups()) == [STANDARD]


def test_the_answer_tells_how_many_wait_before(cell: Cell) -> None:
    depths = [cell.submit(f"j{i}").depth for i in range(3)]

    assert depths == [0, 1, 2]


def test_the_same_idempotency_key_and_request_answer_the_first_job(cell: Cell) -> None:
    cell.submit("j1", idempotency_key="k", request_hash="h")

    again = cell.submit("j2", idempotency_key="k", request_hash="h")

    assert again[:2] == (SubmitOutcome.REPLAYED, "default/j1")
    assert cell.ready() == ["default/j1"]


def test_the_same_idempotency_key_with_another_request_is_a_mismatch(cell: Cell) -> None:
    cell.submit("j1", idempotency_key="k", request_hash="h")

    again = cell.submit("j2", idempotency_key="k", request_hash="other")

    assert again.outcome == SubmitOutcome.MISMATCH
    assert cell.ready() == ["default/j1"]


def test_idempotency_keys_of_two_tenants_do_not_meet(cell: Cell) -> None:
    cell.submit("j1", tenant="a", idempotency_key="k", request_hash="h")

    other = cell.submit("j2", tenant="b", idempotency_key="k", request_hash="h")

    assert other[:2] == (SubmitOutcome.ACCEPTED, "b/j2")


def test_an_idempotency_key_is_forgotten_after_its_time(cell: Cell) -> None:
    cell.submit("j1", idempotency_key="k", request_hash="h")

    ttl_s = cell.redis.ttl(cell.keys.idempotency("default", "k"))

    assert 86_000 < ttl_s <= 86_400


def test_the_same_submission_sent_again_changes_nothing(cell: Cell) -> None:
    cell.submit("j1")
    [lease] = cell.take_and_start()

    again = cell.submit("j1", input=b"other")

    assert again.outcome == SubmitOutcome.ACCEPTED
    assert (JobStatus.RUNNING, lease.fence) == (cell.status("default/j1"), cell.job("default/j1").fence)
    assert cell.ready() == []


def test_a_full_queue_keeps_nothing_of_a_job(cell: Cell) -> None:
    cell.submit("j1", cap=1)

    refused = cell.submit("j2", cap=1, idempotency_key="k", deadline_ms=cell.now_ms() + 1000)

    assert refused[:3] == (SubmitOutcome.FULL, "", 1)
    assert [key for key in cell.redis.scan_iter(f"{cell.keys.prefix}*") if b"j2" in key or b":k:" in key] == []
    assert cell.run(cell.store.recent("default", limit=10)) == ["default/j1"]


def test_the_cap_counts_each_tenant_alone(cell: Cell) -> None:
    cell.submit("j1", tenant="a", cap=1)

    assert cell.submit("j2", tenant="b", cap=1).outcome == SubmitOutcome.ACCEPTED


def test_as_many_jobs_may_be_delayed_as_may_wait(cell: Cell) -> None:
    later = cell.now_ms() + 60_000
    cell.submit("j1", cap=1, not_before_ms=later)

    assert cell.submit("j2", cap=1, not_before_ms=later).outcome == SubmitOutcome.FULL


def test_a_job_for_later_is_not_ready_and_says_why(cell: Cell) -> None:
    cell.submit("j1", not_before_ms=cell.now_ms() + 60_000)

    assert cell.ready() == []
    assert cell.job("default/j1").reason == "scheduled"
    assert cell.claim().jobs == []


def test_a_time_in_the_past_means_now(cell: Cell) -> None:
    cell.submit("j1", not_before_ms=1)

    assert cell.ready() == ["default/j1"]


def test_a_deadline_moves_a_job_forward_within_its_tier(cell: Cell) -> None:
    cell.submit("first")
    cell.submit("urgent", deadline_ms=cell.now_ms() + 10_000)

    assert cell.ready() == ["default/urgent", "default/first"]


def test_a_far_deadline_does_not_move_a_job_back(cell: Cell) -> None:
    cell.submit("relaxed", deadline_ms=cell.now_ms() + 10_000_000)
    cell.submit("second")

    assert cell.ready() == ["default/relaxed", "default/second"]


@pytest.mark.parametrize(("above", "tier"), [(Tier.PRIORITY, Tier.STANDARD), (Tier.STANDARD, Tier.SPOT)])
def test_no_deadline_is_a_way_into_the_tier_above(cell: Cell, above: Tier, tier: Tier) -> None:
    cell.submit("above", tier=above)
    cell.submit("urgent", tier=tier, deadline_ms=cell.now_ms() + 1)

    claimed = [job.member for job in cell.claim().jobs]

    assert claimed == ["default/above", "default/urgent"]


@pytest.mark.parametrize(
    ("deadline", "start_by", "expiry"), [(500, 0, 500), (0, 400, 400), (500, 400, 400), (400, 500, 400)]
)
def test_the_earlier_of_deadline_and_latest_start_is_watched(
    cell: Cell, deadline: int, start_by: int, expiry: int
) -> None:
    cell.submit("j1", deadline_ms=deadline, start_by_ms=start_by)

    assert [(b"default/j1", expiry)] == cell.redis.zrange(cell.keys.deadlines, 0, -1, withscores=True)


def test_each_group_has_a_ready_set_of_its_own(cell: Cell) -> None:
    for tier in Tier:
        cell.submit(f"j-{tier}", tier=tier)

    ready = [cell.ready(group) for group in GROUPS]

    assert [[f"default/j-{tier}"] for tier in Tier] == ready
