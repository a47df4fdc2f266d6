"""`cold_start`: from the wish for a worker until it can run a model: as a fresh process, and out of a warm spare.

Real workers, started by the back end of `headrace up`, one after another on a machine that does nothing else. A spare
has everything imported; fetching is not part of it, the files are in the cache.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench.drain import running_server
from bench.embed import EmbedderSide
from bench.headrace_side import HeadraceSide
from bench.report import Report, installed_versions, summarize
from bench.service import ServiceFailed
from headrace.environments import as_environment
from headrace.presence import ModelState, WorkerPresence
from scheduler.backends.port import BackendState
from scheduler.backends.process import ProcessBackend, spare_processes
from scheduler.backends.spares import Spares

_LIMIT_S = 120.0
#: A spare whose processes have done nothing for so long has imported what it will.
_QUIET_S = 1.5
_SIDES: dict[str, tuple[type[HeadraceSide], tuple[str, ...]]] = {
    "embed": (EmbedderSide, ("torch",)),
    "noop": (HeadraceSide, ()),
}
_STAGES = ("process", "child", "model")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument(
        "--model", choices=sorted(_SIDES), default="embed", help="what is loaded: with torch, or nothing"
    )
    parser.add_argument("--pairs", type=int, default=5, help="interleaved repetitions")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say."""
    model, pairs = ("noop", 1) if options.smoke else (options.model, options.pairs)
    runs = []
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder, ExitStack() as stack:
        starts = Starts(stack, Path(folder), model)
        starts.cold()  # fetches the files
        for number in range(1, pairs + 1):
            runs.append(_pair(starts.cold(), starts.warm()))
            print(f"pair {number} of {pairs}: {runs[-1]}", file=sys.stderr, flush=True)
    figures, spread = summarize(runs)
    versions = installed_versions() | installed_versions(("torch",))
    return Report(bench="cold_start", figures=figures | {"pairs": pairs}, spread=spread, versions=versions)


def _pair(cold: dict[str, float], warm: dict[str, float]) -> dict[str, float]:
    named = {f"{how}_{stage}_s": took for how, it in (("cold", cold), ("warm", warm)) for stage, took in it.items()}
    return named | {"warm_to_cold": warm["total"] / cold["total"]}


class Starts:
    """Starts workers, waits until they can run the model, and ends them.

    Args:
        stack: ends everything.
        folder: for everything that is written.
        model: a folder below `bench/models`.
    """

    def __init__(self, stack: ExitStack, folder: Path, model: str) -> None:
        kind, imports = _SIDES[model]
        server = stack.enter_context(running_server(folder))
        parameters = {"max_batch": 8, "passes": str(folder / "passes")}
        self._side = stack.enter_context(
            kind(folder=folder, server=server, model=model, parameters=parameters, worker=False)
        )
        settings = self._side.settings
        ours = settings.worker_classes["bench"].model_copy(update={"warm_spares": 1, "warm_imports": imports})
        environment = as_environment(settings.model_copy(update={"worker_classes": {"bench": ours}}))
        self._spares = Spares(
            counts={"bench": 1}, make=spare_processes(environment=environment, sink=_quiet), rest_s=0.0
        )
        stack.callback(self._spares.close)
        self._fresh = ProcessBackend(environment=environment, sink=_quiet)
        self._warm = ProcessBackend(environment=environment, sink=_quiet, spares=self._spares)

    def cold(self) -> dict[str, float]:
        """Seconds of the stages of a fresh process's start, and in all."""
        return self._start(self._fresh)

    def warm(self) -> dict[str, float]:
        """The same of a spare that has imported everything."""
        self._spares.step()
        _wait_until(lambda: _is_quiet(self._spares.pids), "quiet")
        return self._start(self._warm)

    def _start(self, backend: ProcessBackend) -> dict[str, float]:
        called = time.time()
        worker = backend.start("bench", 1)
        _wait_until(lambda: self._ready(worker.id) is not None, "ready")
        presence = self._ready(worker.id)
        assert presence is not None
        assert presence.ready_ms is not None
        backend.drain(worker.id)
        _wait_until(lambda: all(one.state is BackendState.ENDED for one in backend.workers()), "ended")
        return {stage: presence.start_s[stage] for stage in _STAGES} | {"total": presence.ready_ms / 1000 - called}

    def _ready(self, node: str) -> WorkerPresence | None:
        for worker in self._side.presences():
            model = worker.models.get(str(self._side.ref))
            if worker.node == node and model is not None and model.state is ModelState.READY and worker.ready_ms:
                return worker
        return None


def _wait_until(is_so: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _LIMIT_S
    while not is_so():
        if time.monotonic() > until:
            raise ServiceFailed(f"not {what} after {_LIMIT_S:g} s")
        time.sleep(0.02)


def _is_quiet(pids: list[int]) -> bool:
    """Tell whether these processes and their children leave the processors alone."""
    before = _ticks(pids)
    time.sleep(_QUIET_S)
    return _ticks(pids) == before


def _ticks(pids: list[int]) -> int:
    """Time on processors, in the kernel's ticks."""
    family = [child for pid in pids for child in _children(pid)]
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in (*pids, *family)]
    return sum(int(each[11]) + int(each[12]) for each in fields)


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _quiet(_name: str, _line: str) -> None:
    """Whatever workers say is of no interest here."""
