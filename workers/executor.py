"""Executor: the parent's end of the child process. Spawns it, talks to it, notices its death and its hanging."""

import logging
import math
import os
import signal
import subprocess
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from workers.backoff import Backoff
from workers.child_listener import ChildListener
from workers.child_process import ChildProcess, start_child
from workers.frames import Frame, FrameReader, Message, PassReport, encode
from workers.hang_watch import HangWatch
from workers.loop import Loop
from workers.outbox import Outbox
from workers.residency import Footprint
from workers.stage_marks import Stage

log = logging.getLogger("headrace.executor")

#: A job as the child is told of it: slot, input, tier, deadline in monotonic seconds, leads, how far a pass before was.
ChildJob: TypeAlias = tuple[int, bytes, int, float, bool, bytes, int | None]

#: A child that lived shorter than this counts as failing to start.
_SETTLED_S = 10.0


@dataclass(frozen=True, kw_only=True)
class ExecutorLimits:
    """When the child counts as hanging, and the CPU threads that it may use."""

    forward_s: float
    load_s: float
    threads: int


class Executor:
    """One child at a time, respawned when it dies.

    Args:
        arguments: command line of `workers.child` after the descriptors of the pipes and the marks.
        limits: time limits; past them the child is killed with everything it started.
        ahead: a child that was started ahead, to be the first one.
    """

    #: Told of everything; set before the first spawn.
    listener: ChildListener

    def __init__(self, *, arguments: Sequence[str], limits: ExecutorLimits, ahead: ChildProcess | None = None) -> None:
        self._arguments = arguments
        self._ahead = ahead
        self.limits = limits
        self._loop: Loop | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._backoff = Backoff(first_s=0.1, most_s=10.0)
        self._closed = False
        self._forget_child()

    def _forget_child(self) -> None:
        self.is_ready = self.is_asked = False
        #: What it is at, and since when.
        self.watch = HangWatch(forward_s=self.limits.forward_s, load_s=self.limits.load_s)
        self._to_load: list[tuple[str, bytes, bool]] = []
        #: Versions that it was asked to load and has not lost since.
        self._entrusted: set[str] = set()
        self._kill_cause = ""
        #: When it is to be replaced at the earliest.
        self._outworn_at = math.inf

    @property
    def pid(self) -> int | None:
        """Process id of the child, None between two."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> list[int]:
        """Slots of the pass under way."""
        return self.watch.running

    @property
    def loading(self) -> str | None:
        """The version that is being loaded, None if none is."""
        return self.watch.loading

    # --- life

    def spawn(self) -> None:
        """Start a child."""
        child, self._ahead = self._ahead, None
        if child is None or not child.begin():
            child = start_child(self._arguments, threads=self.limits.threads)
        self._process, self._down, self._up, self._marks = child.process, child.down, child.up, child.marks
        self._pidfd = os.pidfd_open(self._process.pid)
        self._outbox = Outbox(self._down)
        self._frames = FrameReader(self._up)
        self._spawned_at = time.monotonic()
        self._forget_child()
        if self._loop is not None:
            self.attach(self._loop)

    def attach(self, loop: Loop) -> None:
        """Go on with this loop."""
        self._loop = loop
        if self._process is not None:
            loop.add_reader(self._up, self._on_readable)
            loop.add_reader(self._pidfd, self._on_death)
            self._outbox.attach(loop)

    def kill(self, cause: str = "killed") -> None:
        """Kill the child and everything it started; its death is reported as any other."""
        if self._process is not None:
            self._kill_cause = cause
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                log.debug("child %s was gone already", self._process.pid)

    def close(self) -> None:
        """End the child for good."""
        self._closed = True
        if self._process is not None:
            self.kill("closed")
            self._process.wait()
            self._drop_descriptors()
            self._process = None

    def check(self, now: float) -> None:
        """Kill the child if its pass or its load takes too long, or if it is outworn; `now` is monotonic seconds."""
        if self._process is None:
            return
        self._look_for_pass()
        if self._hanging(now):
            # The loop may have stood still, as while Celery reconnects: the end of the pass may lie here unread.
            self.hear()
        if hanging := self._hanging(now):
            log.error("%s took too long: killing child %s", hanging, self.pid)
            self.watch.give_up()
            self.kill("timeout")
        elif now >= self._outworn_at and self.watch.is_idle:
            self._outworn_at = math.inf
            self.kill("replaced")

    def hear(self) -> None:
        """Take in what the child has said: after a standstill of the loop it may lie here unread."""
        while self._process is not None and self._on_readable():
            pass

    def forsake(self, slots: Collection[int], until: float) -> None:
        """Nobody waits for the results of these any more: a pass of nothing else counts as hanging from `until` on."""
        self.watch.forsake(slots, until)

    def _hanging(self, now: float) -> str:
        """What takes too long, empty if nothing does."""
        return self.watch.hanging(self._marks.slots(), now)

    # --- talking down

    def load(self, ref: str, state: bytes = b"", *, spares: bool = False) -> None:
        """Have a model version loaded after those that were asked for before; `state` is what others learned of it.

        With `spares` jobs come back unrun that cost as much as one that ran out of memory alone.
        """
        self._entrusted.add(ref)
        self._to_load.append((ref, state, spares))
        self._load_next()

    def _load_next(self) -> None:
        if self.loading is None and self._to_load and self.is_ready:
            ref, state, spares = self._to_load.pop(0)
            self.watch.load_begins(ref, time.monotonic())
            self._say(Frame.LOAD, ref, state, spares)

    def unload(self, ref: str) -> None:
        """Have a model version unloaded of which the child has no job."""
        self._say(Frame.UNLOAD, ref)

    def park(self, ref: str) -> None:
        """Have a model version copied to host memory of which the child has no job; `load` brings it back."""
        self.watch.parking_begins(ref, time.monotonic())
        self._say(Frame.PARK, ref)

    def send(self, ref: str, jobs: Sequence[ChildJob], *, alone: bool = False, apart: Collection[int] = ()) -> None:
        """Hand over jobs, each by itself if `alone`; the slots in `apart` are to share no pass with others."""
        self._say(Frame.JOBS, ref, alone, jobs, *apart)

    def drop(self, slots: Sequence[int]) -> None:
        """Have the child forget jobs, except those whose forward pass has begun."""
        self._say(Frame.DROP, slots)

    def finish(self) -> None:
        """Have the child complete its running batch and forget what it has not begun."""
        self._look_for_pass()
        self._say(Frame.FINISH)

    def checkpoint(self) -> None:
        """Have the child say how far its running batch is; `is_asked` until it has."""
        if self.running:
            self.is_asked = True
            self._say(Frame.CHECKPOINT)

    def renew(self, not_before: float) -> None:
        """Replace the child as soon as its running batch has ended, by `check` and not before then."""
        if self._process is not None:
            self._outworn_at = not_before
            self.finish()

    def _say(self, kind: Frame, *fields: object) -> None:
        if self._process is None:
            # Between two children the number of the pipe may be something else's.
            return
        try:
            self._outbox.send(encode(kind, *fields))
        except OSError:
            log.debug("child %s does not read any more", self.pid)

    # --- hearing up

    def _on_readable(self) -> bool:
        try:
            messages = self._frames.read()
        except BlockingIOError:
            return False
        if messages is None:
            if self._loop is not None:
                self._loop.remove_reader(self._up)
            return False
        for message in messages:
            try:
                self._hear(message)
            except Exception:
                # Celery's loop would end the worker, or take it for a broken connection of its own.
                log.exception("a message of the child could not be used")
        return True

    def _hear(self, message: Message) -> None:
        match message:
            case [Frame.DONE, slots, results, report]:
                self.watch.pass_ended(slots)
                self.listener.batch_done(slots, results, PassReport(*report))
            case [Frame.STARTED, ref, slots, expected_s]:
                # It may have been seen before it was told.
                if slots != self.watch.running:
                    self.watch.pass_begins(slots, time.monotonic())
                    self.listener.batch_started(ref, slots, expected_s)
            case [Frame.HELLO, pid]:
                log.info("child %s is ready", pid)
                self.is_ready = True
                self.listener.child_ready()
                self._load_next()
            case _:
                self._hear_of_move(message)

    def _hear_of_move(self, message: Message) -> None:
        match message:
            case [Frame.LOADED, ref, max_batch, footprint, used_bytes]:
                self._loaded()
                self.listener.model_loaded(ref, max_batch, Footprint(*footprint), used_bytes)
            case [Frame.UNLOADED, ref, used_bytes]:
                self._entrusted.discard(ref)
                self.watch.parking_ended(ref)
                self.listener.model_unloaded(ref, used_bytes)
            case [Frame.PARKED, ref, host_bytes, took_s, used_bytes]:
                self.watch.parking_ended(ref)
                self.listener.model_parked(ref, host_bytes, took_s, used_bytes)
            case [Frame.REFUSED, ref, error, used_bytes]:
                self._entrusted.discard(ref)
                self._loaded()
                self.listener.model_refused(ref, error, used_bytes)
            case _:
                self._hear_aside(message)

    def _hear_aside(self, message: Message) -> None:
        """What changes nothing of what the child does."""
        match message:
            case [Frame.LEARNED, ref, state]:
                self.listener.model_learned(ref, state)
            case [Frame.CHECKPOINTED, slots, states]:
                self.is_asked = False
                self.listener.checkpointed(slots, states)
            case [Frame.PROGRESSED, said]:
                self.listener.progressed(said)

    def _look_for_pass(self) -> None:
        """Take note of a pass that should have been over before anybody was told of it, and is not."""
        slot = None if self._process is None else self._marks.slots().get(Stage.PASS)
        if slot is not None and slot not in self.watch.running:
            self.watch.pass_begins([slot], time.monotonic())
            self.listener.pass_found(slot)

    def _loaded(self) -> None:
        self.watch.load_ended()
        self._load_next()

    def _on_death(self) -> None:
        if self._process is None:
            return
        # What it said before it died is still in the pipe, and counts.
        while self._on_readable():
            pass
        self._look_for_pass()
        code = self._process.wait()
        cause = self._kill_cause or f"exit {code}"
        suspects, loading = list({*self.running, *self._marks.in_hand()}), self.loading
        lost = self._entrusted
        copied = None if suspects else self.watch.copying
        log.error("child %s died (%s) with %s jobs in its hands", self._process.pid, cause, len(suspects))
        self._drop_descriptors()
        self._process = None
        self._forget_child()
        self._respawn()
        if copied is not None:
            self.listener.copy_lost(copied, cause)
        self.listener.child_died(suspects, cause, loading, lost)

    def _respawn(self) -> None:
        if self._closed:
            return
        if time.monotonic() - self._spawned_at > _SETTLED_S:
            self._backoff.reset()
        pause_s = self._backoff.next_s()
        if self._backoff.failures == 1 or self._loop is None:
            self.spawn()
        else:
            log.warning("the child keeps dying; next one in %.1f s", pause_s)
            self._loop.call_later(pause_s, self._spawn_if_open)

    def _spawn_if_open(self) -> None:
        if not self._closed and self._process is None:
            self.spawn()

    def _drop_descriptors(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._up)
            self._loop.remove_reader(self._pidfd)
        self._outbox.detach()
        for fd in (self._up, self._down, self._pidfd):
            os.close(fd)
