"""A worker whose models do not all fit into its memory: a real child that loads and unloads, on a real server."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from headrace.jobs import JobStatus
from headrace.keys import Keys
from headrace.model_moves import MoveKind, read_moves
from headrace.model_ref import ModelRef
from headrace.presence import ModelState
from headrace.worker_class import WorkerClass
from tests.integration.engine_rig import EngineRig

MB = 1_000_000
MODEL_BYTES = 60 * MB
#: What a child uses beyond its imports: threads, pipes, whatever the allocator keeps.
ROOM_BYTES = 35 * MB

LARGE = f"""
from headrace.model import Model

class Large(Model, max_batch=8, memory_bytes={MODEL_BYTES}):
    def load(self, files, device):
        self.weights = bytearray(b"x") * {MODEL_BYTES}

    def forward(self, batch: list[str]) -> list[str]:
        return [word.upper() for word in batch]
"""
VAST = LARGE.replace(str(MODEL_BYTES), str(100 * MODEL_BYTES))

Start = Callable[..., EngineRig]


def resident_bytes(pid: int | None) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    except FileNotFoundError:
        return 0


@pytest.fixture(scope="module")
def bare_bytes() -> int:
    """What a child uses that has loaded nothing."""
    code = "import workers.child, workers.memory_meter as m; print(m.MemoryMeter('cpu').used_bytes())"
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


@pytest.fixture
def start(redis_url: str, keys: Keys, tmp_path: Path, bare_bytes: int) -> Iterator[Start]:
    """Start a worker with memory for so many models; its settings are those of its class."""
    rigs: list[EngineRig] = []

    def start(fitting: int, **settings: object) -> EngineRig:
        budget_bytes = bare_bytes + ROOM_BYTES + fitting * MODEL_BYTES
        worker_class = WorkerClass.model_validate(
            {"memory_bytes": budget_bytes, "wait_objective_s": 0.5, "threads": 1} | settings
        )
        rig = EngineRig(worker_class, url=redis_url, keys=keys, folder=tmp_path)
        rigs.append(rig)
        return rig

    yield start
    for rig in rigs:
        rig.close()


def loaded(rig: EngineRig) -> set[str]:
    models = rig.engine.presence().models
    return {ref for ref, model in models.items() if model.state is ModelState.READY}


def test_a_worker_with_memory_for_two_models_serves_five_and_stays_within_it(start: Start) -> None:
    rig = start(2)
    refs = [rig.push(f"large-{i}", LARGE) for i in range(5)]
    rig.start()
    seen: list[tuple[int, int]] = []

    def have_ended(members: Sequence[str]) -> bool:
        seen.append((len(loaded(rig)), resident_bytes(rig.engine.presence().child_pid)))
        return all(rig.job(member).status.is_terminal for member in members)

    first = [member for ref in refs for member in rig.submit("a", "b", ref=ref)]
    rig.run_until(partial(have_ended, first))
    second = [member for ref in refs for member in rig.submit("a", "b", ref=ref)]
    rig.run_until(partial(have_ended, second))

    jobs = [rig.job(member) for member in (*first, *second)]
    assert {(JobStatus.SUCCEEDED, 1)} == {(job.status, job.attempts) for job in jobs}
    assert max(models for models, _ in seen) == 2
    assert max(size for _, size in seen) <= rig.worker_class.memory_bytes


def test_what_is_not_loaded_says_that_it_waits_for_room(start: Start) -> None:
    rig = start(1)
    for i in range(2):
        rig.push(f"large-{i}", LARGE)
    rig.start()

    rig.run_until(lambda: len(loaded(rig)) == 1)
    rig.run_until(lambda: len(rig.engine.presence().models) == 2)

    assert [False, True] == sorted(model.cold for model in rig.engine.presence().models.values())


def test_what_somebody_wants_warm_is_loaded_without_a_job(start: Start) -> None:
    rig = start(1)
    refs = {str(rig.push(f"large-{i}", LARGE)) for i in range(2)}
    rig.start()
    rig.run_until(lambda: len(loaded(rig)) == 1)
    (other,) = refs - loaded(rig)

    rig.redis.run(rig.store.warm_up(ModelRef.parse(other), until_ms=1 << 42))
    rig.run_until(lambda: loaded(rig) == {other})


def test_a_pinned_model_stays_and_what_has_no_room_beside_it_says_so(start: Start) -> None:
    rig = start(1, pinned=["large-0"])
    pinned = rig.push("large-0", LARGE)
    rig.start()
    rig.run_until(lambda: loaded(rig) == {str(pinned)})

    other = rig.push("large-1", LARGE)
    rig.submit("a", ref=other)
    rig.run_until(lambda: str(other) in rig.engine.presence().models)
    rig.run_until(lambda: rig.engine.presence().models[str(other)].state is ModelState.FAILED)

    assert "beside what must stay loaded" in rig.engine.presence().models[str(other)].error
    assert {str(pinned)} == loaded(rig)


def test_what_can_never_fit_is_not_tried_and_says_so(start: Start) -> None:
    rig = start(1)
    ref = str(rig.push("vast", VAST))
    rig.start()

    rig.run_until(lambda: ref in rig.engine.presence().models)
    rig.run_until(lambda: rig.engine.presence().models[ref].state is ModelState.FAILED)

    assert "it needs 6,000 MB" in rig.engine.presence().models[ref].error


def test_a_child_that_dies_loads_again_what_it_had_and_jobs_are_done(start: Start) -> None:
    rig = start(2)
    refs = [rig.push(f"large-{i}", LARGE) for i in range(3)]
    rig.start()
    rig.run_until(lambda: len(loaded(rig)) == 2)

    rig.engine.renew_child()
    members = [member for ref in refs for member in rig.submit("a", ref=ref)]

    assert {JobStatus.SUCCEEDED} == set(rig.finish(*members))


def test_a_model_that_asks_for_what_the_class_has_not_is_not_loaded_and_says_so(start: Start) -> None:
    rig = start(1)
    ref = str(rig.push("picky", LARGE.replace("max_batch=8", 'max_batch=8, labels=("nvlink",)')))
    rig.start()

    rig.run_until(lambda: ref in rig.engine.presence().models)
    rig.run_until(lambda: rig.engine.presence().models[ref].state is ModelState.FAILED)

    assert "it needs a worker with the label nvlink" == rig.engine.presence().models[ref].error


def test_what_was_loaded_and_unloaded_is_told_to_the_jobs_that_waited_for_it(start: Start) -> None:
    rig = start(1)
    refs = [str(rig.push(f"large-{i}", LARGE)) for i in range(2)]
    rig.start()
    rig.run_until(lambda: len(loaded(rig)) == 1)
    [first] = loaded(rig)
    [other] = {*refs} - {first}

    [member] = rig.submit("a", ref=ModelRef.parse(other))
    rig.finish(member)

    created_ms, worker = rig.job(member).created_ms, rig.engine.presence().id
    waited = read_moves(rig.keys, other, first_ms=created_ms, last_ms=rig.job(member).claimed_ms)
    made_way, loading, is_loaded = rig.redis.run(waited)
    assert f"{first} made way for {other} on worker {worker}" == made_way.sentence
    assert f"loading {other} on worker {worker}" == loading.sentence
    assert is_loaded.sentence.startswith(f"loaded {other} on worker {worker}: ")
    of_first = rig.redis.run(read_moves(rig.keys, first, first_ms=0, last_ms=None))
    kinds = [MoveKind.LOADING, MoveKind.LOADED, MoveKind.UNLOADED]
    assert kinds == [move.kind for move in of_first]
    assert 0 < rig.redis.client.ttl(rig.keys.model_moves(other)) <= 86_400
