"""The processes of a worker's models, and what the death of one of them changes for the others."""

import os
import time
from typing import cast

import pytest

from headrace.keys import Keys
from headrace.store import JobStore
from workers.child_listener import ChildListener
from workers.children import Children
from workers.claim_policy import ClaimPolicy
from workers.committer import Committer
from workers.cost_states import CostStates
from workers.executor import Executor, ExecutorLimits
from workers.job_path import JobPath
from workers.loop import SelectorLoop
from workers.move_log import MoveLog
from workers.passing_on import PassingOn
from workers.path_parts import PathParts
from workers.residency import NOTHING, Footprint, Plan, Residency
from workers.separation import Separation
from workers.view import NoView
from workers.wire import Wire

MB = 1_000_000
LIMITS = ExecutorLimits(forward_s=20.0, load_s=20.0, threads=1)


class Unspawned(Executor):
    """Ready without a child; what is said to it goes nowhere."""

    def __init__(self) -> None:
        super().__init__(arguments=(), limits=LIMITS)

    def spawn(self) -> None:
        self.is_ready = True


class Worker:
    """A path that is not connected: nothing was claimed yet."""

    def __init__(self) -> None:
        self.made: list[Unspawned] = []
        self.children = Children(make=self._make, separation=Separation())
        self.residency = Residency(budget_bytes=100 * MB)
        wire = Wire(url="redis://127.0.0.1:1", on_lost=lambda _: None)
        store = JobStore(Keys(cell="unit"))
        parts = PathParts(
            wire=wire,
            store=store,
            children=self.children,
            committer=Committer(wire=wire, store=store, result_ttl_s=60),
            policy=ClaimPolicy(lead_s=0.0, most_bytes=MB),
            residency=self.residency,
            costs=CostStates(wire=wire, keys=store.keys, worker_class="on-demand", on_answer=lambda: None),
            passing_on=PassingOn(
                wire=wire, store=store, size_bytes=0, tiers=(), has_larger=lambda _: False, result_ttl_s=60
            ),
            moves=MoveLog(wire=wire, keys=store.keys, worker="w"),
            view=NoView(),
            most_kept_bytes=MB,
            progress_interval_s=1.0,
        )
        self.path = JobPath(parts=parts, on_room=lambda: None, on_models=lambda: None)
        self.children.spawn()

    def _make(self) -> Executor:
        self.made.append(Unspawned())
        return self.made[-1]

    def load(self, *refs: str) -> None:
        self.path.models.want(refs)
        for ref in refs:
            self.children.load(ref, b"")
            self.path.model_loaded(ref, 8, Footprint(40 * MB), 40 * MB)
        for executor in self.made:
            executor.watch.load_ended()

    def die(self, *lost: str, loading: str | None = None) -> None:
        self.path.child_died([], "exit 1", loading, lost)


class Deaths:
    """Counts them."""

    def __init__(self) -> None:
        self.count = 0

    def child_died(self, *_: object, **__: object) -> None:
        self.count += 1


def test_a_process_that_dies_before_it_was_to_load_anything_takes_nobody_elses_memory_along() -> None:
    worker = Worker()
    for used, ref in enumerate("ab", start=1):
        worker.residency.loaded(ref, Footprint(40 * MB), used_bytes=40 * MB * used, now=-1e6)
    worker.residency.expect("c", Footprint(40 * MB))

    worker.die()

    assert NOTHING == worker.residency.plan(["c"], busy=(), now=0.0)


def test_for_whom_room_was_made_has_no_precedence_after_its_process_is_gone() -> None:
    residency = Residency(budget_bytes=100 * MB)
    for used, ref in enumerate("ab", start=1):
        residency.loaded(ref, Footprint(40 * MB), used_bytes=40 * MB * used, now=-1e6)
    residency.expect("z", Footprint(40 * MB))
    residency.ask(["z"])
    assert residency.plan(["z"], busy=(), now=0.0).unload

    residency.process_lost(["a", "b", "z"])
    residency.ask(["a"])

    assert Plan(load=("a",)) == residency.plan(["z", "a"], busy=(), now=0.0)


def test_who_kills_the_shared_process_twice_while_it_is_loaded_runs_apart() -> None:
    worker = Worker()
    worker.load("a@1", "b@1")

    for _ in range(2):
        worker.die("a@1", "b@1", loading="a@1")

    assert "a@1" in worker.children.separation
    assert "b@1" not in worker.children.separation


def test_a_pass_of_one_process_keeps_no_jobs_from_one_that_is_idle() -> None:
    worker = Worker()
    worker.children.separation.declare(["a@1"])
    worker.load("a@1", "b@1")
    shared, own = worker.made

    own.watch.pass_begins([1], 0.0)
    worker.path.batch_started("a@1", [1], 20.0)
    beside_an_idle_one = worker.path.plan()
    shared.watch.pass_begins([2], 0.0)
    beside_none = worker.path.plan()

    assert 0.0 == beside_an_idle_one.wait_s
    assert beside_an_idle_one.size.most > 0
    assert beside_none.wait_s == pytest.approx(20.0, abs=10.0)


def test_nothing_is_said_into_a_pipe_that_is_closed_while_the_next_child_is_awaited() -> None:
    loop, deaths = SelectorLoop(), Deaths()
    # A child that is told too little ends at once, and the second one to do so is not followed at once.
    executor = Executor(arguments=(), limits=LIMITS)
    executor.listener = cast("ChildListener", deaths)
    executor.attach(loop)
    executor.spawn()
    assert loop.run_until(lambda: deaths.count == 2, limit_s=50.0)
    assert executor.pid is None

    pipes = [os.pipe() for _ in range(8)]
    executor.send("a@1", [(1, b"{}", 0, time.monotonic(), True, b"", None)])
    for read, write in pipes:
        os.set_blocking(read, False)
        os.close(write)
    said = [os.read(read, 1) for read, _ in pipes]

    assert [b""] * 8 == said
    for read, _ in pipes:
        os.close(read)
    executor.close()
    loop.close()
