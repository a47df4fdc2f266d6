"""The child, `python -m workers.child DOWN UP REGISTRY CACHE DEVICE`: the only process that runs models.

A reader thread takes messages from the parent at all times, so that the parent's writes never wait for a forward
pass. The main thread loads models and runs batches; each batch is formed, when the thread becomes free, from
everything that has arrived.
"""

import ctypes
import logging
import os
import signal
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import msgpack

from headrace import logs
from headrace.errors import HeadraceError
from headrace.failpoints import failpoint
from headrace.jobs import Cause, error_document
from headrace.logs import LogStyle
from headrace.model_ref import ModelRef
from registry.registry import Registry
from workers.batcher import Batch, Batcher, Limits, WaitingJob
from workers.cost_model import CostModel
from workers.failures import ItemResult
from workers.frames import Frame, Message, PassReport, encode
from workers.runtime import Runtime

log = logging.getLogger("headrace.child")

_PR_SET_PDEATHSIG = 1
_BUFFER_BYTES = 1 << 20


class Inbox:
    """What the parent has sent and the main thread has not taken."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._loads: deque[str] = deque()
        self._batcher = Batcher()
        self._finishing = False

    def put(self, message: Message) -> None:
        """Take a message; called by the reader thread."""
        with self._changed:
            match message:
                case [Frame.JOBS, ref, alone, jobs] if not self._finishing:
                    self._batcher.add(ref, [WaitingJob(job[0], job[1]) for job in jobs], alone=alone)
                case [Frame.LOAD, ref, _state]:
                    self._loads.append(ref)
                case [Frame.FINISH]:
                    self._finishing = True
                    self._batcher.clear()
            self._changed.notify()

    def take(self, limits: Mapping[str, Limits]) -> str | Batch | None:
        """Something to do: the name of a version to load, or a batch to run; None if there is nothing now."""
        with self._changed:
            return self._next(limits)

    def wait(self, limits: Mapping[str, Limits]) -> str | Batch:
        """Wait for something to do."""
        with self._changed:
            while (task := self._next(limits)) is None:
                self._changed.wait()
            return task

    def _next(self, limits: Mapping[str, Limits]) -> str | Batch | None:
        if self._loads:
            return self._loads.popleft()
        batch = self._batcher.next_batch(time.monotonic(), limits)
        return batch if isinstance(batch, Batch) else None


class Child:
    """Loads model versions and runs batches of them, one thing at a time."""

    def __init__(self, *, up: BinaryIO, registry: Registry, cache: Path, device: str) -> None:
        self._up = up
        self._registry = registry
        self._cache = cache
        self._device = device
        self._runtimes: dict[str, Runtime] = {}
        self._limits: dict[str, Limits] = {}
        self.inbox = Inbox()

    def serve(self) -> None:
        """Work until the parent ends this process."""
        self._say(Frame.HELLO, os.getpid())
        while True:
            task = self.inbox.take(self._limits)
            if task is None:
                self._up.flush()
                task = self.inbox.wait(self._limits)
            if isinstance(task, str):
                self._load(task)
            else:
                self._run(task)

    def _load(self, ref: str) -> None:
        failpoint("child.before_load")
        began = time.monotonic()
        try:
            version = ModelRef.parse(ref)
            folder = self._registry.fetch(version, self._cache)
            runtime = Runtime.load(folder=folder, manifest=self._registry.manifest(version), device=self._device)
        except HeadraceError as error:
            return self._say(Frame.REFUSED, ref, error.detail)
        except Exception as error:
            log.exception("%s cannot be loaded", ref)
            return self._say(Frame.REFUSED, ref, f"{type(error).__name__}: {error}")
        self._runtimes[ref] = runtime
        self._limits[ref] = Limits(CostModel(), max_batch=runtime.max_batch)
        log.info("%s loaded in %.1f s", ref, time.monotonic() - began)
        return self._say(Frame.LOADED, ref, runtime.max_batch)

    def _run(self, batch: Batch) -> None:
        slots = [job.slot for job in batch.jobs]
        self._say(Frame.STARTED, batch.ref, slots, 0.0)
        # Before the pass, or a crash in it had no suspects. What the pass before said goes out in the same write.
        self._up.flush()
        began = time.perf_counter()
        failpoint("child.before_forward")
        results = self._results(batch)
        failpoint("child.after_forward")
        report = PassReport(
            time.perf_counter() - began, staged_s=0.0, cost=len(slots), items=len(slots), runs=1, padding=0.0
        )
        self._say(Frame.DONE, slots, [(r.ok, r.cause or "", r.body) for r in results], report)

    def _results(self, batch: Batch) -> list[ItemResult]:
        runtime = self._runtimes.get(batch.ref)
        if runtime is None:
            body = error_document(Cause.INTERNAL, f"{batch.ref} is not loaded here", retryable=True)
            return [ItemResult(ok=False, cause=Cause.INTERNAL, body=body)] * len(batch.jobs)
        return runtime.run([job.input for job in batch.jobs])

    def _say(self, kind: Frame, *fields: object) -> None:
        """Put a message on the pipe with the next flush."""
        self._up.write(encode(kind, *fields))


def _read_forever(down: BinaryIO, inbox: Inbox) -> None:
    """Feed the inbox until the parent closes the pipe, then end the process: nobody is left to work for."""
    while len(head := down.read(4)) == 4:
        (length,) = struct.unpack(">I", head)
        if len(body := down.read(length)) < length:
            break
        inbox.put(msgpack.unpackb(body))
    os._exit(0)


def main(arguments: list[str]) -> None:
    """Set the process up so that it can neither outlive its parent nor be interrupted by the terminal, then serve."""
    down, up = int(arguments[0]), int(arguments[1])
    registry_url, cache, device, level, form = arguments[2:7]
    for fd in (down, up):
        # What a model starts (data loaders) must not hold the pipes open after our death.
        os.set_inheritable(fd, False)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logs.configure(LogStyle(level, form), service="model")
    child = Child(
        up=os.fdopen(up, "wb", _BUFFER_BYTES), registry=Registry(url=registry_url), cache=Path(cache), device=device
    )
    reader = threading.Thread(target=_read_forever, args=(os.fdopen(down, "rb"), child.inbox), daemon=True)
    reader.start()
    child.serve()


if __name__ == "__main__":
    main(sys.argv[1:])
