"""The child: the only process that runs models.

    python -m workers.child DOWN UP MARKS REGISTRY SIGNERS CACHE CACHE_BYTES LOAD_BYTES DEVICE SLOTS LEVEL FORM [AHEAD]

With AHEAD, names of modules with commas between, it was started before anybody needs it: it imports these and waits.

Four threads. The main thread loads models (`child_loads`), forms each batch when it becomes free, from everything that
has arrived, and runs it. While it does nothing it reads what the parent says; while it is at something long the reader
does (`intake`), so that the parent's writes never wait for a forward pass. Beside a pass that is long enough to be
worth it, and of a model that gains by it (`overlap`), the `preparer` stages the inputs of the next one and the
`finisher` turns the rows of the one before into results. Otherwise the main thread does both itself: an idle child
hands nothing from thread to thread.
"""

import ctypes
import importlib
import logging
import os
import signal
import struct
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgpack

from headrace import logs
from headrace.failpoints import failpoint
from headrace.logs import LogStyle
from registry.registry import Registry
from workers.batcher import Batch, Wait
from workers.child_loads import ChildLoads
from workers.finisher import Ended, Finisher
from workers.frames import Frame, Message, PassReport, encode
from workers.inbox import Inbox, Load, Park, Task, Unload, Wanted
from workers.intake import Intake
from workers.loaded_models import LoadedModels, not_loaded
from workers.memory_meter import MemoryMeter
from workers.opening import Opening
from workers.overlap import LONG_PASS_S, Overlap
from workers.preparer import Preparer
from workers.reporter import Reporter
from workers.runtime import Forwarded, Runtime
from workers.stage_marks import StageMarks

log = logging.getLogger("headrace.child")

_PR_SET_PDEATHSIG = 1
_BUFFER_BYTES = 1 << 20
#: How long a thread that comes back from C, as the pass does from each of its operations, waits before it asks the one
#: that runs Python to let go. Python's own 5 ms would cost a pass more than is gained beside it.
_SWITCH_S = 0.0002


class _Lesson(NamedTuple):
    """How long a pass took, of which nothing was learned yet."""

    ref: str
    forwarded: Forwarded
    took_s: float


class _Turn(NamedTuple):
    """A batch that ran in company, or could have."""

    overlap: Overlap
    began: float
    expected_s: float


class Child:
    """Loads model versions and runs batches of them, one pass at a time."""

    def __init__(
        self, *, down: int, up: BinaryIO, models: LoadedModels, marks: StageMarks, memory: MemoryMeter
    ) -> None:
        self._opening = Opening(up=up, marks=marks)
        self._intake = Intake(fd=down, hear=self._hear, on_long=self._opening.tell)
        self._up = up
        self._models = models
        self._inbox = Inbox()
        self._preparer = Preparer(inbox=self._inbox, models=models, marks=marks)
        self._finisher = Finisher(up=up, marks=marks, opening=self._opening)
        self._reporter = Reporter(up=up)
        self._loads = ChildLoads(
            up=up, models=models, memory=memory, finish=self._finisher.wait, progressed=self._progressed
        )
        #: A pass whose rows are finished beside the next one.
        self._unfinished: Ended | None = None
        #: Of the last pass: learned when its results are on their way, or else before the next batch is chosen.
        self._lesson: _Lesson | None = None
        #: The batch whose pass runs, for who asks how far it is.
        self._in_pass: tuple[Runtime, list[int]] | None = None
        #: The batch before, if this thread has not paused since.
        self._turn: _Turn | None = None

    def serve(self) -> None:
        """Work until the parent ends this process."""
        self._intake.start()
        self._preparer.start()
        self._finisher.start()
        self._say(Frame.HELLO, os.getpid())
        while True:
            self._intake.look()
            if not self._inbox.has_more:
                self._finish()
                self._up.flush()
            self._learn()
            task = self._inbox.take(self._models.limits)
            # Inputs that are wanted before a batch can be chosen are staged between two passes: that is the turn's own.
            if not isinstance(task, Batch | Wanted):
                self._finish()
                self._turn = None
            was_idle = task is None
            if task is None:
                self._up.flush()
                task = self._intake.idle(self._next)
            match task:
                case Load():
                    self._loads.load(task)
                case Unload(ref):
                    self._loads.unload(ref)
                case Park(ref):
                    self._loads.park(ref)
                case Wanted(ref, jobs):
                    self._preparer.stage_waiting(ref, jobs)
                case Batch():
                    self._run(task, was_idle=was_idle)

    def _next(self) -> Task | Wait | None:
        return self._inbox.next(self._models.limits)

    def _hear(self, message: Message) -> None:
        """Take a message of the parent; called by the reader if something runs."""
        if message[0] == Frame.CHECKPOINT:
            self._checkpoint()
        else:
            self._inbox.put(message)

    def _checkpoint(self) -> None:
        """Tell how far the running batch is, beside the pass."""
        runtime, slots = self._in_pass or (None, [])
        states = [] if runtime is None else runtime.checkpoint()
        self._say(Frame.CHECKPOINTED, slots if states else [], states)
        self._up.flush()

    def _progressed(self, runtime: Runtime, place: int, fraction: float, message: str) -> None:
        """A model says how far an input of the batch is; only of the running one it has anything to say."""
        in_pass = self._in_pass
        if in_pass is not None and in_pass[0] is runtime and place < len(in_pass[1]):
            self._reporter.heard(in_pass[1][place], fraction, message)

    def _run(self, batch: Batch, *, was_idle: bool) -> None:
        slots = [job.slot for job in batch.jobs]
        is_alone = self._inbox.runs_alone(batch)
        if is_alone:
            self._finish()
            self._finisher.wait()
        self._opening.begin(batch, was_idle=was_idle)
        if not self._intake.is_watched:
            self._opening.tell()
        failpoint("child.before_forward")
        runtime = self._models.get(batch.ref)
        if runtime is None:
            return self._refuse(batch)
        began = self._next_turn()
        self._in_pass = runtime, slots
        forwarded = self._forward(runtime, batch, is_alone=is_alone)
        self._in_pass = None
        self._reporter.forget()
        failpoint("child.after_forward")
        staged_s = self._inbox.staged_s(self._models.limits)
        ended = Ended(runtime, slots, forwarded, time.perf_counter() - began, staged_s)
        is_long = ended.took_s > LONG_PASS_S and self._inbox.has_more and not is_alone
        self._unfinished = ended
        if is_long and runtime.overlap.is_on and runtime.finishing.is_worth_a_thread(len(slots)):
            self._opening.tell()
        else:
            self._finish()
            if was_idle:
                # What it was idle for may be all that there is: it is told before anything more is looked for.
                self._up.flush()
        if is_long:
            self._turn = _Turn(runtime.overlap, began, batch.expected_s)
        return None

    def _learn(self) -> None:
        """Learn from the last pass, and at times tell what is known by now."""
        if self._lesson is None:
            return
        (ref, forwarded, took_s), self._lesson = self._lesson, None
        self._models.learn(ref, forwarded, took_s)
        if (state := self._models.state_to_tell(ref)) is not None:
            self._say(Frame.LEARNED, ref, state)
            self._up.flush()

    def _next_turn(self) -> float:
        """A turn begins now; the one before tells how long it was."""
        began = time.perf_counter()
        if self._turn is not None:
            self._turn.overlap.took(began - self._turn.began, self._turn.expected_s)
            self._turn = None
        return began

    def _forward(self, runtime: Runtime, batch: Batch, *, is_alone: bool) -> Forwarded:
        jobs, expected_s = len(batch.jobs), batch.expected_s
        staged = self._preparer.stage(runtime, batch.jobs)
        company = nullcontext() if is_alone else self._preparer.company(runtime, jobs=jobs, expected_s=expected_s)
        if self._unfinished is not None:
            # Not earlier: between two passes the thread would only be in the way.
            self._finisher.hand_over(self._unfinished)
            self._unfinished = None
        with company, runtime.inference():
            began = time.perf_counter()
            forwarded = runtime.forward(staged)
            self._lesson = _Lesson(batch.ref, forwarded, time.perf_counter() - began)
        return forwarded

    def _finish(self) -> None:
        """Finish in this thread what was left for the next pass to go beside."""
        if self._unfinished is not None:
            self._finisher.finish(self._unfinished)
            self._unfinished = None

    def _refuse(self, batch: Batch) -> None:
        results = [not_loaded(batch.ref)] * len(batch.jobs)
        self._say(Frame.DONE, [job.slot for job in batch.jobs], results, PassReport(0.0, 0.0, 0.0, 0, 0, 0.0))

    def _say(self, kind: Frame, *fields: object) -> None:
        """Put a message on the pipe with the next flush."""
        self._up.write(encode(kind, *fields))


def _wait_ahead(modules: str, down: int) -> None:
    """Import what will be needed, and wait for the word to begin; nothing may have touched a device until then."""
    for name in filter(None, modules.split(",")):
        try:
            importlib.import_module(name)
        except ImportError as error:
            log.info("%s is not imported ahead: %s", name, error)
    # Written at once, so read at once; and nothing beyond it, which the intake will read.
    if not (head := os.read(down, 4)):
        sys.exit(0)
    _, devices = msgpack.unpackb(os.read(down, *struct.unpack(">I", head)))
    if devices is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices


def main(arguments: list[str]) -> None:
    """Set the process up so that it can neither outlive its parent nor be interrupted by the terminal, then serve."""
    down, up, marks = map(int, arguments[:3])
    registry_url, signers, cache, cache_bytes, load_bytes, device, slots, level, form = arguments[3:12]
    for fd in (down, up, marks):
        # What a model starts (data loaders) must not hold the pipes open after our death.
        os.set_inheritable(fd, False)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.setswitchinterval(_SWITCH_S)
    logs.configure(LogStyle(level, form), service="model")
    for modules in arguments[12:]:
        _wait_ahead(modules, down)
    registry = Registry(url=registry_url, signers=tuple(filter(None, signers.split(","))))
    models = LoadedModels(
        registry=registry,
        cache=Path(cache),
        device=device,
        cache_max_bytes=int(cache_bytes),
        load_bytes=int(load_bytes),
    )
    memory = MemoryMeter(device, slots=int(slots))
    told = os.fdopen(up, "wb", _BUFFER_BYTES)
    Child(down=down, up=told, models=models, marks=StageMarks(marks), memory=memory).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
