"""Intake: takes the parent's messages from the pipe, in whichever thread of the child does that at least expense.

To hand a message from a thread that reads to the one that works costs an idle child more than to run a small model. So
the main thread reads by itself while it has nothing to do, and looks into the pipe between two passes. Something that
takes longer it need not interrupt for that: soon a thread of its own, the reader, takes the pipe over, hears what the
parent says meanwhile, notices its death, and keeps the pipe until it has brought something to an idle main thread.
"""

import math
import os
import select
import threading
import time
from collections.abc import Callable

from workers.alarm import Alarm
from workers.batcher import Wait
from workers.frames import FrameReader, Message
from workers.inbox import Task
from workers.vital_thread import start_vital

#: Nobody hears the parent for at most this while the main thread is at something.
_DEAF_S = 0.002


class Intake:
    """Ends the process when the parent has closed the pipe: nobody is left to work for.

    Args:
        fd: the end of the pipe that is read; it blocks.
        hear: given each message in order, by the main thread or the reader.
        on_long: called by the reader when the main thread has been at something for a while.
    """

    def __init__(self, *, fd: int, hear: Callable[[Message], None], on_long: Callable[[], None]) -> None:
        self._frames = FrameReader(fd)
        self._hear = hear
        self._on_long = on_long
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        #: Held by who has the pipe.
        self._pipe = threading.Lock()
        self._alarm = Alarm(after_s=_DEAF_S)
        self._is_idle = False
        #: Set when the reader has let go of the pipe for an idle main thread.
        self._let_go = threading.Event()

    def start(self) -> None:
        """Start the reader, which ends with the process. The main thread counts as busy until it is `idle`."""
        # A model's load may leave no memory for anything else: without its reader this process would be deaf for ever.
        start_vital("reader", self._run)
        self._alarm.set()

    # --- for the main thread

    def look(self) -> None:
        """Take in what has arrived, unless the reader does."""
        if self._pipe.acquire(blocking=False):
            try:
                if self._poll.poll(0):
                    self._read()
            finally:
                self._pipe.release()

    def idle(self, find: Callable[[], Task | Wait | None]) -> Task:
        """Do nothing but listen until there is something to do; answers that.

        Args:
            find: asked now and after each message; it answers a `Wait` for what will be there later, to the next
                millisecond, and None where only a message can bring something.
        """
        # Before it is asked: what the reader brings after that, it brings to somebody idle.
        self._is_idle = True
        self._alarm.clear()
        while (found := self._listen(find)) is None:
            pass
        self._is_idle = False
        self._alarm.set()
        return found

    @property
    def is_watched(self) -> bool:
        """Tell whether the reader waits for what the main thread is at to become long; it may have the pipe instead."""
        return not self._pipe.locked()

    def _listen(self, find: Callable[[], Task | Wait | None]) -> Task | None:
        """What there is to do, or None after something was heard or a wait was over."""
        has_pipe = self._pipe.acquire(blocking=False)
        try:
            # Not before: what the reader brings and then lets go of the pipe would lie there.
            found = find()
            if not (found is None or isinstance(found, Wait)):
                return found
            limit_s = None if found is None else max(found.until_s - time.monotonic(), 0.0)
            if not has_pipe:
                self._let_go.wait(limit_s)
                self._let_go.clear()
            elif limit_s is None or self._poll.poll(math.ceil(1000 * limit_s)):
                self._read()
            return None
        finally:
            if has_pipe:
                self._pipe.release()

    # --- by either

    def _read(self) -> None:
        messages = self._frames.read()
        if messages is None:
            os._exit(0)
        for message in messages:
            self._hear(message)

    # --- the reader

    def _run(self) -> None:
        while True:
            self._alarm.sleep()
            if self._pipe.acquire(blocking=False):
                # Who begins something and then finds the pipe free is heard of here.
                self._on_long()
                self._read()
                while not self._is_idle:
                    self._read()
                self._pipe.release()
                self._let_go.set()
