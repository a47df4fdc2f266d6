"""Threads without which the child is of no use: if one ends, the process does, and the parent starts another."""

import logging
import os
import threading
from collections.abc import Callable

log = logging.getLogger("headrace.child")


def start_vital(name: str, work: Callable[[], None]) -> None:
    """Run `work` in a thread; whatever it raises, also SystemExit, ends the process as it would in the main thread."""

    def run() -> None:
        try:
            work()
        except BaseException:
            log.exception("the %s failed", name)
        finally:
            # Also where saying so fails, as it may when there is no memory left.
            os._exit(1)

    threading.Thread(target=run, name=name, daemon=True).start()
