"""What a job costs in Redis: a compact record, and not much more."""

from headrace.groups import group_of
from headrace.jobs import FIELDS, MAX_SEED, MAX_VALUE_BYTES, REPEATABLE, Cause, JobStatus, Reason
from headrace.model_ref import ModelRef
from headrace.store_care import Hastening
from headrace.store_work import Failure, PassProgress
from headrace.submission import fingerprint
from headrace.tiers import Tier
from tests.integration.script_cell import TTL_S, Cell, new_job

#: A queued job with an input of 200 bytes; measured about 800, and a hash in its large form alone takes 600 more.
MOST_BYTES_PER_JOB = 1_000

LONGEST_MODEL = ModelRef("m" * 48, 999_999_999_999_999)
LONGEST_WORKER = "w" * MAX_VALUE_BYTES
LONGEST_TENANT = "t" * 48


def test_a_record_stays_compact_with_the_longest_values_that_are_allowed(cell: Cell) -> None:
    job_id = "cell0000-" + "0" * 32
    member = f"{LONGEST_TENANT}/{job_id}"
    far = cell.now_ms() + 10**9
    job = new_job(
        job_id,
        tenant=LONGEST_TENANT,
        ref=LONGEST_MODEL,
        tier=Tier.SPOT,
        input=b"x" * 65_536,
        max_attempts=100,
        not_before_ms=far,
        start_by_ms=far,
        deadline_ms=far,
        webhook_url="https://example.com/" + "x" * 2_000,
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        metadata=b"x" * 10_000,
        dedupe_key="k" * 255,
        run_timeout_s=86_399.5,
        result_ttl_s=2_592_000,
        retry_on=REPEATABLE,
        is_batchable=False,
        seed=MAX_SEED,
        fairness_key="k" * MAX_VALUE_BYTES,
        is_awaited=True,
        is_named=True,
        request_hash=fingerprint(b"{}"),
    )
    cell.run(cell.store.submit(job, cap=10))
    cell.lapse_delays()
    cell.run(cell.store.promote(limit=1))
    for url in ("", job.webhook_url):
        cell.amend(member, webhook_url=url)
    at_risk = Hastening(group_of(LONGEST_MODEL, Tier.SPOT), Tier.PRIORITY, 1, 0.0, far, 0.0)
    cell.run(cell.store.hasten([at_risk], cursor=0, limit=10, most=10))
    outgrown = 10**15
    groups = [group_of(LONGEST_MODEL, Tier.PRIORITY), group_of(LONGEST_MODEL, Tier.PRIORITY, outgrown)]

    leases = [lease.lease for lease in cell.claim(worker=LONGEST_WORKER, groups=groups, room=10**9).jobs]
    cell.run(cell.store.start(leases))
    cell.run(cell.store.fail([Failure(leases[0], Cause.OOM, 0, b"{}", outgrown)], result_ttl_s=TTL_S))
    cell.claim(worker=LONGEST_WORKER, groups=groups, room=10**9)
    cell.lapse_leases()
    cell.reap()
    leases = [lease.lease for lease in cell.claim(worker=LONGEST_WORKER, groups=groups, room=10**9).jobs]
    cell.run(cell.store.release(leases, kept=dict.fromkeys(leases, b"x" * 100_000)))
    leases = [lease.lease for lease in cell.claim(worker=LONGEST_WORKER, groups=groups, room=10**9).jobs]
    cell.run(cell.store.start(leases))
    cell.run(cell.store.progress([PassProgress(leases[0], 1 / 3, "x" * MAX_VALUE_BYTES)]))
    cell.commit(leases, body=b"{}", cause=Cause.WORKER_LOST)

    record = cell.redis.hgetall(cell.keys.job(member))
    assert cell.redis.object("encoding", cell.keys.job(member)) == b"listpack"
    assert set(FIELDS) == {field.decode() for field in record}
    assert max(len(value) for value in record.values()) <= MAX_VALUE_BYTES


def test_every_word_that_a_record_may_hold_is_short_enough() -> None:
    words = [*JobStatus, *Reason, *Cause, *Tier]

    assert all(len(word) <= MAX_VALUE_BYTES for word in words)


def test_a_queued_job_takes_a_bounded_amount_of_memory(cell: Cell) -> None:
    count = 2_000
    ids = [f"c1-{i:032}" for i in range(count)]
    before = cell.redis.info("memory")["used_memory"]

    cell.run_all([cell.store.submit(new_job(job_id, input=b"x" * 200), cap=count) for job_id in ids])

    bytes_per_job = (cell.redis.info("memory")["used_memory"] - before) / count
    print(f"{bytes_per_job:.0f} bytes a queued job, its input of 200 bytes included")  # noqa: T201 - worth a look
    assert bytes_per_job < MOST_BYTES_PER_JOB
    assert cell.redis.object("encoding", cell.keys.job(f"default/{ids[0]}")) == b"listpack"
