"""Workers start with a backlog and are drained after it; whatever becomes of the schedulers, no job notices."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from headrace.environments import as_environment
from headrace.handles import Job
from headrace.jobs import JobStatus
from headrace.keys import Keys
from headrace.settings import Settings
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from registry.registry import Registry
from tests.e2e.test_up import CHECKOUT, Up, environment, processes_of, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

BULK = (Tier.SPOT, Tier.STANDARD)
CLASSES = {
    "on-demand": WorkerClass(max_workers=2, wait_objective_s=2, scale_down_window_s=1),
    "spot": WorkerClass(tiers=BULK, min_workers=0, max_workers=1, wait_objective_s=2, scale_down_window_s=1),
}
JOBS = {Tier.PRIORITY: 20, Tier.STANDARD: 150, Tier.SPOT: 150}


#: Spot machines cannot be had.
GONE = {
    "on-demand": WorkerClass(tiers=(Tier.PRIORITY, Tier.STANDARD)),
    "spot": WorkerClass(tiers=(Tier.SPOT,), min_workers=0, max_workers=0, is_spot=True),
}


#: One worker, another when there is work, and one that has begun.
WARM = {
    "on-demand": WorkerClass(
        max_workers=2, wait_objective_s=2, scale_down_window_s=30, warm_spares=1, warm_imports=("numpy",)
    )
}


#: Sleeps as long as its device takes for it.
PACED = """
import time
from pathlib import Path
from headrace.model import Model

class Paced(Model, max_batch=4):
    examples = (b'"x"',)

    def load(self, files: Path, device: str) -> None:
        self._pass_s = {paces}[device]

    def forward(self, batch: list[bytes]) -> list[bytes]:
        time.sleep(self._pass_s)
        return batch
"""
#: Seconds of a pass of each model on the device of each class: one costs less on the dear one, one on the cheap one.
PACES = {"deep": {"cpu": 0.8, "cpu:1": 0.1}, "flat": {"cpu": 0.1, "cpu:1": 0.2}}
UNLIKE = {
    "small": WorkerClass(device="cpu", price_per_hour=1.0),
    "large": WorkerClass(device="cpu:1", price_per_hour=3.0),
}


@contextmanager
def running(folder: Path, classes: dict[str, WorkerClass]) -> Iterator[Up]:
    """A system with such workers and the sleep model."""
    source = folder / "source"
    shutil.copytree(CHECKOUT / "bench" / "models" / "sleep", source)
    (source / "parameters.json").write_text(json.dumps({"forward_ms": 200, "max_batch": 4}))
    push(folder, source, "sleep")
    up = Up(
        folder, {"HEADRACE_WORKER_CLASSES": as_environment(Settings(worker_classes=classes))["HEADRACE_WORKER_CLASSES"]}
    )
    wait_for(lambda: up.says("Headrace is up"), "the API")
    yield up
    if up.process.poll() is None:
        up.end()


def push(folder: Path, source: Path, name: str) -> None:
    Registry(url=(folder / "registry").as_uri()).push(source, name=name)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    with running(tmp_path, CLASSES) as up:
        yield up


@pytest.fixture
def second_scheduler(up: Up) -> Iterator[subprocess.Popen[bytes]]:
    """Another scheduler of the same system, owned by nobody."""
    classes = as_environment(Settings(worker_classes=CLASSES))["HEADRACE_WORKER_CLASSES"]
    settings = {"HEADRACE_REDIS_URL": up.running().redis_url, "HEADRACE_WORKER_CLASSES": classes}
    process = subprocess.Popen(
        [sys.executable, "-m", "scheduler"], env={**environment(up.data_dir), **settings}, cwd=CHECKOUT
    )
    yield process
    process.terminate()
    process.wait(20)


def test_a_burst_starts_workers_which_are_drained_after_it_though_the_scheduler_is_killed(
    up: Up, second_scheduler: subprocess.Popen[bytes]
) -> None:
    wait_for(lambda: ready_workers(up) == {"on-demand": 1}, "the first worker")

    jobs = [up.client.submit("sleep", "x", tier=tier) for tier, count in JOBS.items() for _ in range(count)]
    wait_for(lambda: ready_workers(up) == {"on-demand": 2, "spot": 1}, "all workers")
    print(f"the first extra worker started {delay_of_first_extra_s(up, jobs[0].id):.2f} s after the burst began")  # noqa: T201 - worth a look
    before = pids(up)
    [scheduler] = [pid for pid in up.pids_of("-m scheduler") if pid != second_scheduler.pid]
    os.kill(scheduler, signal.SIGKILL)
    wait_for(lambda: up.says("scheduler was killed by SIGKILL"), "the scheduler's end")
    during = pids(up)
    records = [job.wait(timeout_s=60) for job in jobs]
    wait_for(lambda: ready_workers(up) == {"on-demand": 1}, "the drain")

    assert before == during
    assert {(JobStatus.SUCCEEDED, 1)} == {(record.status, record.document["attempts"]) for record in records}
    wait_for(lambda: up.log.read_text().count("has finished (ended with status 0)") == 2, "two drained workers")
    assert not up.says("is killed")
    assert lost_jobs(up) == (0, 0)


def test_a_job_with_a_deadline_is_done_in_time_though_no_spot_machine_comes(tmp_path: Path) -> None:
    with running(tmp_path, GONE) as up:
        wait_for(lambda: ready_workers(up) == {"on-demand": 1}, "the worker")
        patient = up.client.submit("sleep", "x", tier="spot")
        job = up.client.submit("sleep", "x", tier="spot", deadline=12)

        record = job.wait(timeout_s=60)
        steps = [step["step"] for step in up.client.timeline(job.id)["steps"]]

        assert (JobStatus.SUCCEEDED, "standard") == (record.status, record.document["tier"])
        assert ["accepted", "ready", "hastened", "claimed"] == steps[:4]
        assert (JobStatus.QUEUED, "spot") == (patient.record().status, patient.record().document["tier"])


def test_the_next_worker_is_made_of_a_warm_spare_and_no_process_is_left_at_the_end(tmp_path: Path) -> None:
    with running(tmp_path, WARM) as up:
        wait_for(lambda: ready_workers(up) == {"on-demand": 1}, "the first worker")
        wait_for(lambda: len(up.pids_of("--spare")) == 1, "the spare")
        [spare] = up.pids_of("--spare")

        jobs = [up.client.submit("sleep", "x") for _ in range(120)]
        wait_for(lambda: ready_workers(up) == {"on-demand": 2}, "the second worker")

        assert spare in pids(up)
        assert {JobStatus.SUCCEEDED} == {job.wait(timeout_s=60).status for job in jobs}
        assert 0 == up.end()
        assert [] == processes_of(tmp_path)


def test_of_two_classes_each_does_the_model_that_costs_less_there(tmp_path: Path) -> None:
    for name, paces in PACES.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.py").write_text(PACED.format(paces=paces))
        push(tmp_path, tmp_path / name, name)
    with running(tmp_path, UNLIKE) as up:
        wait_for(lambda: ready_workers(up) == {"small": 1, "large": 1}, "both workers")

        # Each class tries each model once, as it has spare time; from then on it is known what jobs cost where.
        def is_known() -> bool:
            for name in PACES:
                up.client.run(name, "x", timeout_s=20.0)
            told = {row["worker_class"]: "; ".join(row["reasons"]) for row in up.client.scaling()["classes"]}
            return "of deep@1 cost" in told["large"] and "of flat@1 cost" in told["small"]

        wait_for(is_known, "what jobs cost")
        classes = {worker["id"]: worker["worker_class"] for worker in up.client.workers()}
        jobs = [[up.client.submit(name, "x") for _ in range(4)] for _ in range(6) for name in PACES]

        done = Counter(class_of(job, classes) for some in jobs for job in some)

        assert done["deep", "large"] + done["flat", "small"] >= 40
        assert 48 == done.total()


def class_of(job: Job, classes: Mapping[str, str]) -> tuple[str, str]:
    """Which model it was for, and by workers of which class it was run."""
    document = job.wait(timeout_s=60).document
    return document["model"]["name"], classes[document["worker"]]


def ready_workers(up: Up) -> dict[str, int]:
    """How many workers of each class are ready for jobs."""
    classes = up.client.scaling()["classes"]
    return {row["worker_class"]: row["ready"] for row in classes if row["ready"]}


def pids(up: Up) -> set[int]:
    return {worker["pid"] for worker in up.client.workers()}


def delay_of_first_extra_s(up: Up, first_job: str) -> float:
    """From the acceptance of the first job until the kernel started the first worker after that."""
    accepted = datetime.fromisoformat(up.client.get(first_job).document["times"]["created"])
    starts = (datetime.fromisoformat(worker["started"]) for worker in up.client.workers())
    return min((start - accepted).total_seconds() for start in starts if start > accepted)


def lost_jobs(up: Up) -> tuple[int, int]:
    """Leases that are left, and jobs that had to be rescued."""
    keys, connection = Keys(), SyncRedis(url=up.running().redis_url)
    try:
        client = connection.client
        return int(client.zcard(keys.leases)), int(client.hget(keys.stats, "rescued") or 0)
    finally:
        connection.close()
