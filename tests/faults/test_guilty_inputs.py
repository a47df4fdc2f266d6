"""One input of many brings a pass, the model's process or the whole worker down: only that job fails."""

from pathlib import Path

import orjson
import pytest

from headrace.ids import new_job_id
from headrace.jobs import Cause, JobStatus, NewJob
from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from tests.faults.cluster import Cluster, mapped_files, poll
from tests.faults.ledger import TENANT, Ledger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

_MODEL = Path(__file__).parent / "models" / "guilty"

#: Longer than it takes to submit and claim a batch.
_BLOCK_MS = 800


@pytest.fixture
def passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the model notes its passes."""
    monkeypatch.setenv("GUILTY_LOG", str(tmp_path / "passes"))
    return tmp_path / "passes"


@pytest.fixture
def guilty_ref(cluster: Cluster) -> ModelRef:
    """The model that can do the worst, published."""
    return cluster.registry.push(_MODEL, name="guilty").manifest.ref


@pytest.fixture
def guilty(cluster: Cluster, guilty_ref: ModelRef) -> Ledger:
    """Jobs of that model."""
    return Ledger(cluster=cluster, ref=guilty_ref)


def verify_innocent(ledger: Ledger, members: list[str]) -> None:
    """They succeeded, with the right answers, and were charged nothing but their own attempt."""
    jobs = ledger.jobs()
    assert {(JobStatus.SUCCEEDED, 1)} == {(jobs[member].status, jobs[member].attempts) for member in members}
    ledger.verify_answers(members)


def verify_failed(cluster: Cluster, ledger: Ledger, member: str, cause: Cause) -> None:
    job = ledger.jobs()[member]
    assert (JobStatus.FAILED, cause) == (job.status, job.cause)
    assert cause == orjson.loads(cluster.redis.run(cluster.store.output(member)) or b"null")["cause"]


@pytest.mark.parametrize(
    ("act", "cause"),
    [
        ("exit", Cause.WORKER_LOST),
        pytest.param("early exit", Cause.WORKER_LOST, marks=pytest.mark.faults),
        ("segfault", Cause.WORKER_LOST),
        pytest.param("hang", Cause.TIMEOUT, marks=pytest.mark.faults),
        ("loop", Cause.TIMEOUT),
    ],
)
def test_only_the_job_that_brings_the_process_down_fails(
    cluster: Cluster, guilty_ref: ModelRef, guilty: Ledger, act: str, cause: Cause
) -> None:
    worker = cluster.start_worker("w0", serving=guilty_ref)

    before = guilty.submit(range(20), sleep_ms=20)
    (culprit,) = guilty.submit([99], act=act)
    after = guilty.submit(range(20, 40), sleep_ms=20)
    guilty.wait_until_ended(limit_s=90)

    verify_innocent(guilty, [*before, *after])
    verify_failed(cluster, guilty, culprit, cause)
    guilty.verify_ended_once()
    assert worker.is_running


@pytest.mark.faults
def test_several_guilty_among_many_are_found_without_harm_to_the_others(
    cluster: Cluster, guilty_ref: ModelRef, guilty: Ledger
) -> None:
    cluster.start_worker("w0", serving=guilty_ref)

    innocent = guilty.submit(range(20))
    culprits = {
        act: guilty.submit([100 + number], act=act)[0] for number, act in enumerate(("exit", "segfault", "raise"))
    }
    innocent += guilty.submit(range(20, 40))
    guilty.wait_until_ended(limit_s=90)

    verify_innocent(guilty, innocent)
    verify_failed(cluster, guilty, culprits["exit"], Cause.WORKER_LOST)
    verify_failed(cluster, guilty, culprits["segfault"], Cause.WORKER_LOST)
    verify_failed(cluster, guilty, culprits["raise"], Cause.MODEL)


def test_one_poison_of_32_costs_at_most_twelve_passes(
    cluster: Cluster, guilty_ref: ModelRef, guilty: Ledger, passes: Path
) -> None:
    cluster.start_worker("w0", serving=guilty_ref)
    known = len(lines(passes))
    guilty.submit([1], sleep_ms=_BLOCK_MS)
    poll("the pass before runs", lambda: len(lines(passes)) > known)

    innocent = guilty.submit(range(20))
    (poison,) = guilty.submit([99], act="raise")
    innocent += guilty.submit(range(20, 31))
    guilty.wait_until_ended()

    verify_innocent(guilty, innocent)
    verify_failed(cluster, guilty, poison, Cause.MODEL)
    assert len(lines(passes)) - known - 1 <= 12


def test_no_pass_runs_out_of_memory_twice_at_one_size_and_no_job_is_lost(
    cluster: Cluster, guilty_ref: ModelRef, guilty: Ledger, passes: Path
) -> None:
    cluster.start_worker("w0", serving=guilty_ref)

    for _ in range(5):
        guilty.submit(range(40), act="large")
        guilty.wait_until_ended()

    verify_innocent(guilty, guilty.members)
    failed = [int(size) for size, end in map(str.split, lines(passes)) if end == "failed"]
    assert failed
    assert len(failed) == len(set(failed))
    assert sorted(failed, reverse=True) == failed


def test_a_result_that_is_not_finite_fails_alone(cluster: Cluster, guilty_ref: ModelRef, guilty: Ledger) -> None:
    cluster.start_worker("w0", serving=guilty_ref)

    innocent = guilty.submit(range(10))
    (culprit,) = guilty.submit([99], act="infinite")
    guilty.wait_until_ended()

    verify_innocent(guilty, innocent)
    verify_failed(cluster, guilty, culprit, Cause.MODEL)


def test_a_job_that_takes_whole_workers_down_is_given_up(
    cluster: Cluster, guilty_ref: ModelRef, guilty: Ledger
) -> None:
    cluster.start_scheduler()
    workers = [cluster.spawn_worker("w0")]
    culprit = submit_with_one_attempt(cluster, guilty_ref, x=99, act="kill worker")
    guilty.expect(culprit, 99)
    innocent = guilty.submit(range(10))

    def ended_with_a_worker_at_all_times() -> bool:
        if not workers[-1].is_running:
            workers.append(cluster.spawn_worker(f"w{len(workers)}"))
        return all(job.status.is_terminal for job in guilty.jobs().values())

    poll("all jobs ended", ended_with_a_worker_at_all_times, limit_s=120)

    verify_failed(cluster, guilty, culprit, Cause.WORKER_LOST)
    jobs = guilty.jobs()
    assert {JobStatus.SUCCEEDED} == {jobs[member].status for member in innocent}
    guilty.verify_answers(innocent)


def test_the_process_of_a_model_without_torch_imports_no_torch(cluster: Cluster, ref: ModelRef) -> None:
    worker = cluster.start_worker("w0", serving=ref)

    mapped = mapped_files(cluster.child_pid(worker))

    assert [name for name in mapped if "libtorch" in name] == []


def submit_with_one_attempt(cluster: Cluster, ref: ModelRef, *, x: int, act: str) -> str:
    job = NewJob(
        id=new_job_id(cell=cluster.settings.cell, tenant=TENANT, key=b"test"),
        tenant=TENANT,
        ref=ref,
        tier=Tier.STANDARD,
        input=orjson.dumps({"x": x, "act": act}),
        max_attempts=1,
    )
    cluster.redis.run(cluster.store.submit(job, cap=1000))
    return job.member


def lines(passes: Path) -> list[str]:
    return passes.read_text().splitlines() if passes.exists() else []


def test_a_model_that_crashes_beside_another_soon_has_a_process_of_its_own(
    cluster: Cluster, ref: ModelRef, guilty_ref: ModelRef, guilty: Ledger
) -> None:
    beside = Ledger(cluster=cluster, ref=ref)
    worker = cluster.start_worker("w0", serving=guilty_ref)
    poll("both served", lambda: cluster.serves(worker, ref))

    innocent = beside.submit(range(30), sleep_ms=20)
    (first,) = guilty.submit([99], act="segfault")
    poll("set apart", lambda: _is_apart(cluster, guilty_ref))
    (second,) = guilty.submit([98], act="segfault")
    innocent += beside.submit(range(30, 60), sleep_ms=20)
    for ledger in (guilty, beside):
        ledger.wait_until_ended(limit_s=90)

    verify_innocent(beside, innocent)
    for culprit in (first, second):
        verify_failed(cluster, guilty, culprit, Cause.WORKER_LOST)
    assert worker.is_running


def _is_apart(cluster: Cluster, ref: ModelRef) -> bool:
    models = [presence.models.get(str(ref)) for presence in cluster.presences()]
    return any(model is not None and model.apart for model in models)
