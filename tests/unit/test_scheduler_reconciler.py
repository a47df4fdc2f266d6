"""What has to be started and drained to have what is wanted."""

import logging
from typing import Any

import pytest

from scheduler.backends.port import BackendError, BackendState, BackendWorker
from scheduler.reconciler import Plan, Reconciler, Seen, Slot, plan

RUNNING, DRAINING, ENDED = BackendState.RUNNING, BackendState.DRAINING, BackendState.ENDED


class MemoryBackend:
    """A back end whose workers are entries of a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[str, BackendWorker] = {}
        self.started = 0
        #: Classes of which none can be started.
        self.refused: set[str] = set()

    def workers(self) -> list[BackendWorker]:
        views = list(self.kept.values())
        self.kept = {view.id: view for view in views if view.state is not ENDED}
        return views

    def start(self, worker_class: str, slot: int) -> BackendWorker:
        if worker_class in self.refused:
            raise BackendError("no such image")
        self.started += 1
        worker = BackendWorker(f"w{self.started}", worker_class, slot, RUNNING, number=self.started)
        self.kept[worker.id] = worker
        return worker

    def drain(self, worker_id: str) -> None:
        self._change(worker_id, DRAINING)

    def kill(self, worker_id: str) -> None:
        self.end(worker_id)

    def end(self, worker_id: str) -> None:
        self._change(worker_id, ENDED, "ended with status 1", ("boom",))

    def _change(self, worker_id: str, state: BackendState, *ending: Any) -> None:
        worker = self.kept[worker_id]
        self.kept[worker_id] = BackendWorker(*worker[:3], state, *ending)

    @property
    def states(self) -> dict[str, BackendState]:
        return {worker.id: worker.state for worker in self.kept.values()}


@pytest.fixture
def backend() -> MemoryBackend:
    return MemoryBackend()


@pytest.fixture
def reconciler(backend: MemoryBackend) -> Reconciler:
    return Reconciler(backend=backend, drain_limit_s=30.0)


def worker(slot: int, state: BackendState = RUNNING, *, number: int = 0) -> BackendWorker:
    return BackendWorker(f"w{slot}", "gpu", slot, state, number=number)


def test_missing_workers_fill_the_lowest_free_slots() -> None:
    todo = plan({"gpu": 3}, [worker(2)])

    assert Plan([Slot("gpu", 1), Slot("gpu", 3)], []) == todo


def test_of_too_many_workers_the_newest_are_drained() -> None:
    todo = plan({"gpu": 1}, [worker(1, number=7), worker(2, number=2), worker(3, number=3)])

    assert Plan([], ["w3", "w1"]) == todo


def test_idle_workers_are_drained_before_busy_ones() -> None:
    workers = [worker(1, number=1), worker(2, number=2), worker(3, number=3)]

    todo = plan({"gpu": 1}, workers, seen=Seen(busy={"w3"}))

    assert Plan([], ["w1", "w2"]) == todo


def test_a_worker_that_leaves_by_itself_is_replaced_before_it_has_ended() -> None:
    todo = plan({"gpu": 2}, [worker(1), worker(2)], seen=Seen(leaving={"w1"}))

    assert Plan([Slot("gpu", 3)], []) == todo


def test_a_draining_worker_keeps_its_slot_but_counts_no_more() -> None:
    todo = plan({"gpu": 1}, [worker(1, DRAINING)])

    assert Plan([Slot("gpu", 2)], []) == todo


def test_workers_of_a_class_that_nobody_wants_are_drained() -> None:
    assert Plan([], ["w1"]) == plan({}, [worker(1)])


def test_nothing_is_done_when_all_is_as_wanted() -> None:
    assert Plan([], []) == plan({"gpu": 2}, [worker(1), worker(2)])


def test_a_crashed_worker_is_replaced_at_once(reconciler: Reconciler, backend: MemoryBackend) -> None:
    reconciler.step({"gpu": 1}, now=0.0)

    backend.end("w1")
    reconciler.step({"gpu": 1}, now=1.0)

    assert backend.states == {"w2": RUNNING}


def test_a_crash_loop_is_slowed_down(reconciler: Reconciler, backend: MemoryBackend) -> None:
    for tick in range(600):
        reconciler.step({"gpu": 1}, now=tick * 0.1)
        for name in backend.states:
            backend.end(name)

    # Starts at 0, 0.1, 0.6, 1.7, 3.8, 7.9, 16 and 32 s.
    assert backend.started == 8


def test_workers_that_leave_as_soon_as_they_are_there_are_slowed_down_as_a_crash_loop_is(
    reconciler: Reconciler, backend: MemoryBackend
) -> None:
    for tick in range(600):
        leaving = Seen(leaving=set(backend.states))
        for name in backend.states:
            backend.end(name)
        reconciler.step({"gpu": 1}, tick * 0.1, leaving)

    assert backend.started <= 8


def test_a_worker_that_left_by_itself_is_no_crash(
    reconciler: Reconciler, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    reconciler.step({"gpu": 1}, 0.0)
    reconciler.step({"gpu": 1}, 60.0, Seen(leaving={"w1"}))

    backend.end("w1")
    reconciler.step({"gpu": 1}, 61.0, Seen(leaving={"w1"}))

    assert backend.states == {"w2": RUNNING}
    assert "w1 has finished" in caplog.text
    assert "next start" not in caplog.text


def test_a_crash_loop_is_told_with_the_workers_last_lines(
    reconciler: Reconciler, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    for now in range(6):
        reconciler.step({"gpu": 1}, now=now)
        for name in backend.states:
            backend.end(name)

    assert "boom" in caplog.text
    assert "has ended 3 times in a row" in caplog.text


def test_one_workers_crashes_do_not_slow_another_slot(reconciler: Reconciler, backend: MemoryBackend) -> None:
    reconciler.step({"gpu": 2}, now=0.0)
    for name in ("w1", "w2"):
        backend.end(name)

    reconciler.step({"gpu": 2}, now=1.0)

    assert backend.states == {"w3": RUNNING, "w4": RUNNING}


def test_a_drained_worker_that_ends_is_not_replaced(
    reconciler: Reconciler, backend: MemoryBackend, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    reconciler.step({"gpu": 2}, now=0.0)

    reconciler.step({"gpu": 1}, now=1.0)
    backend.end("w2")
    reconciler.step({"gpu": 1}, now=2.0)

    assert backend.states == {"w1": RUNNING}
    assert "w2 has finished" in caplog.text


def test_a_worker_that_does_not_finish_draining_is_killed(reconciler: Reconciler, backend: MemoryBackend) -> None:
    reconciler.step({"gpu": 1}, now=0.0)
    reconciler.step({"gpu": 0}, now=1.0)

    reconciler.step({"gpu": 0}, now=32.0)

    assert backend.states == {"w1": ENDED}


def test_a_class_that_cannot_be_started_keeps_no_other_from_starting(
    reconciler: Reconciler, backend: MemoryBackend
) -> None:
    backend.refused = {"cpu"}

    with pytest.raises(BackendError, match=r"^cpu: no such image$"):
        reconciler.step({"cpu": 2, "gpu": 1}, now=0.0)
    backend.refused = set()
    reconciler.step({"cpu": 2, "gpu": 1}, now=1.0)

    assert backend.states == {"w1": RUNNING, "w2": RUNNING, "w3": RUNNING}


@pytest.mark.parametrize("left", [True, False])
def test_a_worker_that_works_on_after_all_is_not_killed(
    reconciler: Reconciler, backend: MemoryBackend, *, left: bool
) -> None:
    # Its container began again under the same name, or another than it was taken.
    reconciler.step({"gpu": 1}, now=0.0)
    reconciler.step({"gpu": int(left)}, now=1.0, seen=Seen(leaving={"w1"} if left else ()))
    backend.kept = {"w1": BackendWorker("w1", "gpu", 1, RUNNING)}
    reconciler.step({"gpu": 1}, now=2.0, seen=Seen(busy={"w1"}))

    reconciler.step({"gpu": 1}, now=60.0)

    assert backend.states == {"w1": RUNNING}


def test_a_worker_that_leaves_with_jobs_in_hand_is_killed_when_it_is_overdue(
    reconciler: Reconciler, backend: MemoryBackend
) -> None:
    seen = Seen(busy={"w1"}, leaving={"w1"})
    reconciler.step({"gpu": 1}, now=0.0)
    reconciler.step({"gpu": 1}, now=1.0, seen=seen)

    reconciler.step({"gpu": 1}, now=32.0, seen=seen)

    assert backend.states["w1"] is ENDED


def test_all_ended_is_empty(reconciler: Reconciler, backend: MemoryBackend) -> None:
    reconciler.step({"gpu": 2}, now=0.0)
    reconciler.drain_all(now=1.0)

    before = reconciler.is_empty()
    for name in ("w1", "w2"):
        backend.end(name)

    assert not before
    assert reconciler.is_empty()
