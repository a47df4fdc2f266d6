"""Spares: processes of workers that have everything imported and wait to be told their names."""

import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Mapping

from scheduler.processes import Process
from scheduler.restart import RestartPolicy

log = logging.getLogger("headrace.workers")

#: Longer than most starts take.
_REST_S = 5.0


class Spares:
    """Keeps some for each class, so that the next worker of it need not wait for its imports.

    Args:
        counts: how many of each class.
        make: starts the process of one, given its class and what its lines begin with until it is a worker.
        rest_s: no spare is started so soon after a worker: those that are wanted now have the processors first.
        clock: monotonic, in seconds.
    """

    def __init__(
        self,
        *,
        counts: Mapping[str, int],
        make: Callable[[str, str], Process],
        rest_s: float = _REST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counts = counts
        self._make = make
        self._clock = clock
        self._ready: dict[str, list[Process]] = {name: [] for name in counts}
        self._policies: dict[str, RestartPolicy] = defaultdict(RestartPolicy)
        self._rest_s = rest_s
        self._rest_until = clock() + rest_s

    @property
    def pids(self) -> list[int]:
        """Process ids of those that wait."""
        return [process.pid for spares in self._ready.values() for process in spares]

    def take(self, worker_class: str, name: str) -> Process | None:
        """A process that becomes the worker of this name; None if there is none."""
        self._rest_until = self._clock() + self._rest_s
        spares = self._ready.get(worker_class, [])
        while spares:
            process = spares.pop(0)
            if process.tell(name):
                process.name = name
                return process
        return None

    def step(self) -> None:
        """Replace those that were taken or ended, not more than one of a class at a time."""
        now = self._clock()
        for worker_class, spares in self._ready.items():
            self._forget_ended(worker_class, spares, now)
            policy = self._policies[worker_class]
            if len(spares) < self._counts[worker_class] and now >= self._rest_until and policy.is_due(now):
                policy.started(now)
                spares.append(self._make(worker_class, f"{worker_class}-spare-{secrets.token_hex(2)}"))
                self._rest_until = now + self._rest_s

    def close(self) -> None:
        """End all."""
        for spares in self._ready.values():
            for process in spares:
                process.kill()
                process.dismiss()
            spares.clear()
        self._counts = dict.fromkeys(self._counts, 0)

    def _forget_ended(self, worker_class: str, spares: list[Process], now: float) -> None:
        for process in [spare for spare in spares if spare.status is not None]:
            spares.remove(process)
            process.dismiss()
            delay_s = self._policies[worker_class].ended(now)
            log.warning("%s ended; next one in %g s: %s", process.name, delay_s, " ".join(process.tail()))
