"""Nemesis: a schedule of kills made from a seed alone, and the thread that carries it out."""

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from tests.faults.cluster import Cluster
from tests.faults.fleet import Fleet
from tests.faults.history import History

#: What is killed, by weight.
_KILLS = {"worker": 2, "child": 3, "api": 1, "scheduler": 1, "courier": 1}
#: A child that was just killed is left alone for so long: an innocent job is given up after two of its children died.
_CHILD_REST_S = 6.0
_LOOK_S = 0.1


class Fault(NamedTuple):
    """One thing that happens."""

    #: Seconds after the beginning.
    at_s: float
    #: worker, child, api, scheduler, courier, redis.
    kind: str
    #: Which of them, of as many as there are.
    number: int = 0


def make_schedule(*, seed: int, lasts_s: float, kill_every_s: float, redis_every_s: float) -> list[Fault]:
    """A kill every so often, with jitter, and a restart of Redis ever more rarely."""
    chance = random.Random(seed)
    kinds, weights = list(_KILLS), list(_KILLS.values())
    faults, at_s = [], kill_every_s
    while at_s < lasts_s:
        moment_s = round(at_s + chance.uniform(-0.3, 0.3) * kill_every_s, 3)
        faults.append(Fault(moment_s, chance.choices(kinds, weights)[0], chance.randrange(12)))
        at_s += kill_every_s
    restarts = (Fault(round(n * redis_every_s, 3), "redis") for n in range(1, int(lasts_s / redis_every_s) + 1))
    return sorted([*faults, *restarts])


class Nemesis:
    """Carries a schedule out against a fleet; keeps the fleet alive otherwise, as an owner of processes would."""

    def __init__(self, *, cluster: Cluster, fleet: Fleet, history: History, schedule: Sequence[Fault]) -> None:
        self.kills = Counter[str]()
        self._cluster, self._fleet, self._history = cluster, fleet, history
        self._schedule = list(schedule)
        self._children_killed_at: dict[str, float] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nemesis", daemon=True)
        self.error: Exception | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Let nothing more happen."""
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        try:
            for fault in self._schedule:
                while time.monotonic() < began + fault.at_s:
                    if self._is_over.wait(_LOOK_S):
                        return
                    self._fleet.restart_ended()
                self._strike(fault)
            # Jobs may still be handed in: on a slow machine that takes longer than it should.
            while not self._is_over.wait(_LOOK_S):
                self._fleet.restart_ended()
        except Exception as error:  # noqa: BLE001 - told by whoever waits for it
            self.error = error

    def _strike(self, fault: Fault) -> None:
        pid = self._act(fault)
        if pid is not None:
            self.kills[fault.kind] += 1
            self._history.note("fault", kind=fault.kind, number=fault.number, pid=pid)

    def _act(self, fault: Fault) -> int | None:
        """Answers whom it struck, None if nobody was there to be struck."""
        if fault.kind == "redis":
            pid = self._cluster.server.pid
            self._cluster.restart_server(down_s=0.3)
            return pid
        prefix = "w" if fault.kind in ("worker", "child") else fault.kind
        names = [name for name in self._fleet.roles if name.startswith(prefix)]
        name = names[fault.number % len(names)]
        if not self._fleet.roles[name].service.is_running:
            return None
        return self._kill_child(name) if fault.kind == "child" else self._fleet.kill(name)

    def _kill_child(self, name: str) -> int | None:
        if time.monotonic() - self._children_killed_at.get(name, -_CHILD_REST_S) < _CHILD_REST_S:
            return None
        self._children_killed_at[name] = time.monotonic()
        return self._fleet.kill_child(name)
