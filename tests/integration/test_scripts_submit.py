"""Submitting: what is kept, what is refused, and where a job takes its place."""

import pytest

from headrace.dedupe import Scope
from headrace.jobs import JobStatus, NewJob
from headrace.store_submissions import SubmitOutcome
from headrace.tiers import Tier
from tests.integration.script_cell import GROUPS, STANDARD, Cell, new_job


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


# --- ids that submitters choose ------------------------------------------------------------------------------


def test_the_same_request_under_a_chosen_id_is_the_same_job_in_any_state(cell: Cell) -> None:
    cell.submit("mine", is_named=True, request_hash="h")
    cell.commit(cell.take_and_start())

    again = cell.submit("mine", is_named=True, request_hash="h")

    assert again[:2] == (SubmitOutcome.REPLAYED, "default/mine")
    assert cell.status("default/mine") is JobStatus.SUCCEEDED


def test_another_request_under_a_chosen_id_is_a_mismatch(cell: Cell) -> None:
    cell.submit("mine", is_named=True, request_hash="h")

    assert cell.submit("mine", is_named=True, request_hash="other").outcome == SubmitOutcome.MISMATCH


def test_a_chosen_id_is_not_used_again_once_its_job_is_no_longer_kept(cell: Cell) -> None:
    cell.submit("mine", is_named=True, request_hash="h")
    cell.commit(cell.take_and_start())
    cell.forget()

    again = cell.submit("mine", is_named=True, request_hash="h")

    assert again.outcome == SubmitOutcome.GONE
    assert cell.run(cell.store.is_named("default/mine"))
    assert 29 * 86_400 < cell.redis.ttl(cell.keys.named("default/mine")) <= 30 * 86_400


# --- one open job of a kind ----------------------------------------------------------------------------------


def test_a_dedupe_key_leads_to_the_open_job_until_that_ends(cell: Cell) -> None:
    cell.submit("j1", dedupe_key="doc")
    while_open = cell.submit("j2", dedupe_key="doc")
    cell.commit(cell.take_and_start())

    after = cell.submit("j3", dedupe_key="doc")

    assert while_open[:2] == (SubmitOutcome.DUPLICATE, "default/j1")
    assert after[:2] == (SubmitOutcome.ACCEPTED, "default/j3")


def test_a_window_is_not_made_longer_by_an_open_job(cell: Cell) -> None:
    cell.submit("j1", dedupe_key="doc", dedupe_scope=Scope.WINDOW, dedupe_s=60)

    cell.sweep()

    assert 55 <= cell.redis.ttl(cell.keys.dedupe("default", "doc", Scope.WINDOW)) <= 60


def test_looking_after_an_open_job_makes_no_key_shorter(cell: Cell) -> None:
    cell.submit("j1", dedupe_key="doc", dedupe_scope=Scope.CONTENT, dedupe_s=200_000)

    cell.sweep()

    assert cell.redis.ttl(cell.keys.dedupe("default", "doc", Scope.CONTENT)) > 199_000


def test_dedupe_keys_of_two_tenants_do_not_meet(cell: Cell) -> None:
    cell.submit("j1", tenant="a", dedupe_key="doc")

    assert cell.submit("j2", tenant="b", dedupe_key="doc").outcome == SubmitOutcome.ACCEPTED


def test_a_dedupe_key_lasts_as_long_as_its_job_is_looked_after(cell: Cell) -> None:
    cell.submit("j1", dedupe_key="doc")
    cell.redis.expire(cell.keys.dedupe("default", "doc"), 5)

    cell.sweep()

    assert cell.redis.ttl(cell.keys.dedupe("default", "doc")) > 80_000


def test_what_was_noted_beside_a_job_goes_with_its_record(cell: Cell) -> None:
    cell.submit("j1", metadata=b'{"a":"b"}')
    assert cell.run(cell.store.metadata("default/j1")) == b'{"a":"b"}'

    cell.redis.delete(cell.keys.job("default/j1"))
    cell.sweep()

    assert cell.run(cell.store.metadata("default/j1")) is None


# --- many at once --------------------------------------------------------------------------------------------


def submit_many(cell: Cell, *jobs: NewJob, cap: int = 1000, is_whole: bool = False) -> list[SubmitOutcome]:
    answers = cell.run(cell.store.submit_many(jobs, cap=cap, is_whole=is_whole))
    return [answer.outcome for answer in answers]


def test_many_jobs_of_one_call_keep_their_order(cell: Cell) -> None:
    ids = [f"j{i * 7919 % 500:03}" for i in range(500)]

    outcomes = submit_many(cell, *(new_job(job_id) for job_id in ids))

    assert {SubmitOutcome.ACCEPTED} == set(outcomes)
    assert [f"default/{job_id}" for job_id in ids] == cell.ready()
    assert [f"default/{job_id}" for job_id in ids[::-1]] == cell.run(cell.store.recent("default", limit=1000))
    assert 500 == int(cell.redis.hget(cell.keys.queue(STANDARD), "arrived"))
    assert cell.redis.get(cell.keys.input("default/j499")) == b'"x"'


def submitted_places(cell: Cell, *jobs: NewJob) -> list[tuple[str, int]]:
    """What each of these is answered: that it was accepted, as which job, and how many waited before it."""
    answers = cell.run(cell.store.submit_many(jobs, cap=1000))
    assert {SubmitOutcome.ACCEPTED} == {answer.outcome for answer in answers}
    return [(answer.member, answer.depth) for answer in answers]


def test_many_jobs_of_one_queue_are_told_how_many_wait_before_them(cell: Cell) -> None:
    cell.submit_many(2)

    places = submitted_places(cell, *(new_job(job_id) for job_id in ("k1", "k2", "k3")))

    assert [("default/k1", 2), ("default/k2", 3), ("default/k3", 4)] == places


def test_many_jobs_of_several_queues_are_told_how_many_wait_before_them_in_theirs(cell: Cell) -> None:
    cell.submit_many(2)
    urgent = Tier.PRIORITY

    places = submitted_places(
        cell, new_job("k1"), new_job("k2", tier=urgent), new_job("k3"), new_job("k4", tier=urgent)
    )

    assert [("default/k1", 2), ("default/k2", 0), ("default/k3", 3), ("default/k4", 1)] == places


def test_what_some_of_many_have_beside_them_goes_to_no_other(cell: Cell) -> None:
    jobs = [new_job("j1"), new_job("j2", metadata=b'{"a":1}'), new_job("j3", idempotency_key="k", request_hash="h")]

    submitted_places(cell, *jobs, new_job("j4"))

    noted = [cell.run(cell.store.metadata(f"default/j{number}")) for number in (1, 2, 3, 4)]
    assert [None, b'{"a":1}', None, None] == noted
    assert [SubmitOutcome.REPLAYED] == submit_many(cell, new_job("j5", idempotency_key="k", request_hash="h"))


def test_a_chosen_id_needs_nothing_beside_it(cell: Cell) -> None:
    named = new_job("mine", is_named=True)

    outcomes = [submit_many(cell, named), submit_many(cell, named)]

    assert [[SubmitOutcome.ACCEPTED], [SubmitOutcome.REPLAYED]] == outcomes


def test_each_of_many_has_an_outcome_of_its_own(cell: Cell) -> None:
    cell.submit("j0", idempotency_key="k", request_hash="h")

    outcomes = submit_many(
        cell,
        new_job("j1", idempotency_key="k", request_hash="h"),
        new_job("j2", idempotency_key="k", request_hash="other"),
        new_job("j3", dedupe_key="doc"),
        new_job("j4", dedupe_key="doc"),
        new_job("j5"),
        cap=2,
    )

    expected = (SubmitOutcome.REPLAYED, SubmitOutcome.MISMATCH, SubmitOutcome.ACCEPTED)
    assert [*expected, SubmitOutcome.DUPLICATE, SubmitOutcome.FULL] == outcomes
    assert cell.ready() == ["default/j0", "default/j3"]


@pytest.mark.parametrize(("named", "scores"), [((), 1), ((1,), 3), ((0, 1, 2), 3)])
def test_jobs_of_one_call_share_a_score_unless_their_submitters_chose_their_ids(
    cell: Cell, named: tuple[int, ...], scores: int
) -> None:
    jobs = [new_job(f"j{i}", is_named=i in named, request_hash="h") for i in range(3)]

    cell.run(cell.store.submit_many(jobs, cap=10))

    assert scores == len({cell.job(job.member).score for job in jobs})
    assert [job.member for job in jobs] == cell.ready()


def test_twins_in_one_call_are_one_job(cell: Cell) -> None:
    outcomes = submit_many(cell, new_job("j1", dedupe_key="doc"), new_job("j2", dedupe_key="doc"))

    assert [SubmitOutcome.ACCEPTED, SubmitOutcome.DUPLICATE] == outcomes
    assert cell.ready() == ["default/j1"]


def test_what_a_submission_would_be_answered_can_be_asked_without_making_it(cell: Cell) -> None:
    cell.submit("j1", dedupe_key="doc")
    before = {key: cell.redis.dump(key) for key in cell.redis.scan_iter(f"{cell.keys.prefix}*")}

    asked = [
        cell.run(cell.store.foresee(job, cap=cap))
        for job, cap in ((new_job("j2"), 2), (new_job("j2"), 1), (new_job("j3", dedupe_key="doc"), 1))
    ]

    assert [SubmitOutcome.ACCEPTED, SubmitOutcome.FULL, SubmitOutcome.DUPLICATE] == [one.outcome for one in asked]
    assert ([1, 1, 1], "default/j1") == ([one.depth for one in asked], asked[2].member)
    assert before == {key: cell.redis.dump(key) for key in cell.redis.scan_iter(f"{cell.keys.prefix}*")}


def test_all_or_none_means_none_if_one_is_refused(cell: Cell) -> None:
    outcomes = submit_many(cell, new_job("j1"), new_job("j2"), new_job("j3"), cap=2, is_whole=True)

    assert [SubmitOutcome.WITHHELD, SubmitOutcome.WITHHELD, SubmitOutcome.FULL] == outcomes
    assert list(cell.redis.scan_iter(f"{cell.keys.prefix}*")) == []


def test_each_of_many_alike_has_a_record_of_its_own_with_the_score_it_waits_under(cell: Cell) -> None:
    urgent = new_job("j4", tier=Tier.PRIORITY)
    submit_many(cell, new_job("j1"), new_job("j2", metadata=b"{}"), new_job("j3"), urgent, new_job("j5"))

    records = {f"j{i}": cell.redis.hgetall(cell.keys.job(f"default/j{i}")) for i in range(1, 6)}
    queues = [cell.keys.ready(group, "default") for group in GROUPS]
    waiting = {member: score for key in queues for member, score in cell.redis.zrange(key, 0, -1, withscores=True)}

    assert {f"default/{job_id}".encode(): float(record[b"z"]) for job_id, record in records.items()} == waiting
    assert ["j2"] == [job_id for job_id, record in records.items() if b"x" in record]
    assert ["j4"] == [job_id for job_id, record in records.items() if record[b"t"] == b"priority"]


def test_a_job_that_comes_twice_in_one_call_is_one_job(cell: Cell) -> None:
    outcomes = submit_many(cell, new_job("j1"), new_job("j1"))

    assert [SubmitOutcome.ACCEPTED, SubmitOutcome.ACCEPTED] == outcomes
    assert (JobStatus.QUEUED, ["default/j1"]) == (cell.job("default/j1").status, cell.ready())
