"""What tenants had: each job, each end, each part of a pass is counted once, with the change that it comes of."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from headrace.jobs import Cause, JobStatus, Lease
from headrace.store_work import Outcome
from headrace.tiers import Tier
from tests.integration.script_cell import STANDARD, TTL_S, Cell, new_job

JOB = "default/a"


def counts(cell: Cell) -> Mapping[str, int]:
    """Of the only row that there is."""
    [row] = cell.usage()
    return row.counts


def test_accepted_jobs_and_their_bytes_are_their_tenants_of_this_day_and_this_group(cell: Cell) -> None:
    cell.submit("a", input=b"12345")
    cell.submit("b", input=b"123", not_before_ms=cell.now_ms() + 60_000)
    cell.submit("c", tenant="other", tier=Tier.SPOT)

    mine, others = cell.usage()

    assert (mine.tenant, str(mine.ref), mine.tier, mine.counts) == (
        *("default", "m@1", Tier.STANDARD, {"accepted": 2, "in_bytes": 8}),
    )
    assert (others.tenant, others.tier, others.counts["accepted"]) == ("other", Tier.SPOT, 1)
    assert mine.day == datetime.fromtimestamp(cell.now_ms() / 1000, UTC).date()


def test_what_is_refused_or_sent_again_is_not_had(cell: Cell) -> None:
    for _ in range(2):
        cell.submit("a", idempotency_key="k", request_hash="h", dedupe_key="d")
    cell.submit("a")
    cell.submit("b", dedupe_key="d")
    cell.submit("c", cap=1)

    assert counts(cell)["accepted"] == 1


def test_many_by_one_call_count_as_many(cell: Cell) -> None:
    jobs = [new_job(f"j{number}", input=b"12") for number in range(5)]

    cell.run(cell.store.submit_many(jobs, cap=100))

    assert counts(cell) == {"accepted": 5, "in_bytes": 10}


def test_a_batch_counts_its_ends_its_results_and_the_time_that_its_records_say(cell: Cell) -> None:
    cell.submit_many(3)
    good, better, bad = cell.take_and_start()
    outcomes = [
        Outcome(good, JobStatus.SUCCEEDED, None, b"12345", 1.234),
        Outcome(better, JobStatus.SUCCEEDED, None, b"1", 2.345),
        Outcome(bad, JobStatus.FAILED, Cause.MODEL, b"{}", 0.111),
    ]

    cell.run(cell.store.commit(outcomes, ran_ms=4, result_ttl_s=TTL_S))

    had = counts(cell)
    spent = [cell.job(lease.member).spent_ms or 0 for lease in (good, better, bad)]
    assert (had["succeeded"], had["failed"], had["out_bytes"]) == (2, 1, 6)
    assert had["gpu_us"] == round(1000 * sum(spent)) > 0


@pytest.mark.parametrize("part_ms", [None, 1.2345])
@pytest.mark.parametrize("take", [Cell.take, Cell.take_and_start], ids=["at once", "started"])
def test_the_time_that_is_counted_is_rounded_as_in_the_records(
    cell: Cell, take: Callable[[Cell], list[Lease]], part_ms: float | None
) -> None:
    cell.submit_many(3)
    outcomes = [Outcome(lease, JobStatus.SUCCEEDED, None, b"1", part_ms) for lease in take(cell)]

    cell.run(cell.store.commit(outcomes, ran_ms=5, result_ttl_s=TTL_S))

    spent = [cell.job(f"default/j{number}").spent_ms or 0 for number in range(3)]
    assert counts(cell)["gpu_us"] == round(1000 * sum(spent)) > 0


def test_a_commit_sent_again_counts_once(cell: Cell) -> None:
    cell.submit("a")
    leases = cell.take_and_start()

    cell.commit(leases)
    before = counts(cell)
    cell.commit(leases)

    assert before == counts(cell)


def test_a_late_result_is_not_had(cell: Cell) -> None:
    cell.submit("a")
    late = cell.take_and_start()
    cell.lapse_leases()
    cell.reap()

    cell.commit(late)

    assert "succeeded" not in counts(cell)
    assert "gpu_us" not in counts(cell)


def fail_for_good(cell: Cell) -> None:
    cell.fail(cell.take_and_start())


def fail_with_the_worker(cell: Cell) -> None:
    cell.take_and_start()
    cell.lapse_leases()
    cell.reap()


def lose_the_input(cell: Cell) -> None:
    cell.redis.delete(cell.keys.input(JOB))
    cell.sweep()


def cancel(cell: Cell) -> None:
    cell.cancel(JOB)


def erase(cell: Cell) -> None:
    cell.erase(JOB)


def cancel_in_its_pass(cell: Cell, end: Callable[..., Any]) -> None:
    leases = cell.take_and_start()
    cell.cancel(JOB)
    end(leases)


def cancel_and_commit(cell: Cell) -> None:
    cancel_in_its_pass(cell, cell.commit)


def cancel_and_fail(cell: Cell) -> None:
    cancel_in_its_pass(cell, cell.fail)


def cancel_and_reap(cell: Cell) -> None:
    def reap(_: object) -> None:
        cell.lapse_leases()
        cell.reap()

    cancel_in_its_pass(cell, reap)


def expire(cell: Cell) -> None:
    cell.pass_deadlines(JOB)
    cell.expire()


@pytest.mark.parametrize(
    ("end", "state"),
    [
        *((fail_for_good, "failed"), (fail_with_the_worker, "failed"), (lose_the_input, "failed")),
        *((cancel, "canceled"), (erase, "canceled"), (cancel_and_commit, "canceled")),
        *((cancel_and_fail, "canceled"), (cancel_and_reap, "canceled"), (expire, "expired")),
    ],
)
def test_every_way_to_end_is_counted_once(cell: Cell, end: Callable[[Cell], None], state: str) -> None:
    cell.submit("a", max_attempts=1, deadline_ms=cell.now_ms() + 60_000)

    end(cell)

    had = counts(cell)
    assert {name: had[name] for name in had if name in set(JobStatus)} == {state: 1}


def test_a_pass_that_ran_for_a_job_that_was_called_off_is_had(cell: Cell) -> None:
    cell.submit("a")

    cancel_and_commit(cell)

    assert (counts(cell)["gpu_us"], cell.job(JOB).spent_ms) == (7000, 7.0)


def test_attempts_that_are_repeated_are_no_ends(cell: Cell) -> None:
    cell.submit("a", max_attempts=3)
    for _ in range(2):
        cell.fail(cell.take_and_start())
    cell.commit(cell.take_and_start())

    had = counts(cell)
    assert (had.get("failed"), had["succeeded"]) == (None, 1)


@pytest.mark.parametrize("end", [cancel, lose_the_input])
def test_what_has_outgrown_a_size_of_workers_is_had_like_all_else(cell: Cell, end: Callable[[Cell], None]) -> None:
    cell.submit("a")
    cell.fail(cell.take_and_start(), outgrown_bytes=1_000)

    end(cell)

    assert len(cell.usage()) == 1
    assert counts(cell)["accepted"] == 1


def test_a_key_that_is_none_of_ours_stops_nothing(cell: Cell) -> None:
    day = cell.now_ms() // 86_400_000
    cell.redis.set(cell.keys.usage("default", day), "somebody's")
    cell.redis.set(cell.keys.usage_days, "somebody's")

    cell.submit("a")
    cell.commit(cell.take_and_start())

    assert cell.status(JOB) is JobStatus.SUCCEEDED


def test_what_somebody_else_wrote_among_the_counts_is_passed_over(cell: Cell) -> None:
    cell.submit("a")
    key = cell.keys.usage("default", cell.now_ms() // 86_400_000)
    cell.redis.hset(key, mapping={"no group:failed": 1, f"{STANDARD}:unheard": 2, f"{STANDARD}:failed": "x"})
    cell.redis.zadd(cell.keys.usage_days, {"nonsense": 3, "default:x": 3})

    assert counts(cell) == {"accepted": 1, "in_bytes": 3}
