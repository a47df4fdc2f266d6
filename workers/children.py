"""Children: the processes in which a worker's models run: one that most share, and own ones (`separation`).

To whoever hands jobs down it looks like one `Executor`.
"""

import logging
from collections.abc import Callable, Collection, Sequence

from workers.child_listener import ChildListener
from workers.executor import ChildJob, Executor, ExecutorLimits
from workers.loop import Loop
from workers.separation import Separation

log = logging.getLogger("headrace.executor")

#: Name of the process that most share; an own one is called as its version.
SHARED = ""


class Children:
    """All of one worker.

    Args:
        make: a new executor, which has no child yet.
        separation: decides who runs apart.
    """

    def __init__(self, *, make: Callable[[], Executor], separation: Separation) -> None:
        self._make = make
        self.separation = separation
        self._shared = make()
        self._own: dict[str, Executor] = {}
        self._loop: Loop | None = None
        self._listener: ChildListener

    def _all(self) -> list[Executor]:
        return [self._shared, *self._own.values()]

    def listen(self, listener: ChildListener) -> None:
        """Tell everything to this one; before the first spawn."""
        self._listener = self._shared.listener = listener

    @property
    def limits(self) -> ExecutorLimits:
        """Of each process."""
        return self._shared.limits

    @property
    def pid(self) -> int | None:
        """Process id of the shared child, None between two."""
        return self._shared.pid

    @property
    def has_idle(self) -> bool:
        """True while one of them is ready and neither in a pass nor loading."""
        return any(child.is_ready and not child.running and not child.loading for child in self._all())

    def process_of(self, ref: str) -> str:
        """The name of the process that a version runs in."""
        return ref if ref in self.separation else SHARED

    def may_load(self, ref: str) -> bool:
        """Tell whether a version can be handed to its process now."""
        if ref not in self.separation:
            return self._shared.is_ready
        return ref not in self._own or self._own[ref].is_ready

    # --- life

    def spawn(self) -> None:
        """Start the shared child."""
        self._shared.spawn()

    def attach(self, loop: Loop) -> None:
        """Go on with this loop."""
        self._loop = loop
        for executor in self._all():
            executor.attach(loop)

    def check(self, now: float) -> None:
        """Kill each child whose pass or load takes too long, or that is outworn; `now` is monotonic seconds."""
        for executor in self._all():
            executor.check(now)

    def hear(self) -> None:
        """Take in what all of them have said."""
        for executor in self._all():
            executor.hear()

    def forsake(self, ref: str, slots: Collection[int], until: float) -> None:
        """Nobody waits for these jobs of a version any more: a pass of nothing else may be cut off at `until`."""
        self._of(ref).forsake(slots, until)

    def close(self) -> None:
        """End all of them for good."""
        for executor in self._all():
            executor.close()

    # --- talking down

    def load(self, ref: str, state: bytes, *, spares: bool = False) -> None:
        """Have a version loaded in its process; `may_load` it. `spares` as for `Executor.load`."""
        if ref in self.separation and ref not in self._own:
            log.info("%s runs in a process of its own", ref)
            own = self._own[ref] = self._make()
            own.listener = self._listener
            if self._loop is not None:
                own.attach(self._loop)
            own.spawn()
        self._of(ref).load(ref, state, spares=spares)

    def unload(self, ref: str) -> None:
        """Have a version unloaded of which no job is with its process; an own process ends."""
        own = self._own.pop(ref, None)
        if own is None:
            self._shared.unload(ref)
        else:
            own.close()
            self._listener.model_unloaded(ref, None)

    def park(self, ref: str) -> None:
        """Have a version of the shared process copied to host memory of which it has no job."""
        self._shared.park(ref)

    def send(self, ref: str, jobs: Sequence[ChildJob], *, alone: bool = False, apart: Collection[int] = ()) -> None:
        """Hand jobs over to the version's process; `alone` and `apart` as for `Executor.send`."""
        self._of(ref).send(ref, jobs, alone=alone, apart=apart)

    def drop(self, slots: Sequence[int]) -> None:
        """Have all forget these jobs, except those whose forward pass has begun."""
        for executor in self._all():
            executor.drop(slots)

    def finish(self) -> None:
        """Have each complete its running batch and forget what it has not begun."""
        for executor in self._all():
            executor.finish()

    def checkpoint(self) -> None:
        """Have each say how far its running batch is."""
        for executor in self._all():
            executor.checkpoint()

    @property
    def is_asked(self) -> bool:
        """True while one of them has not said so."""
        return any(executor.is_asked for executor in self._all())

    def renew(self, not_before: float) -> None:
        """Replace each as soon as its running batch has ended, not before then."""
        for executor in self._all():
            executor.renew(not_before)

    def _of(self, ref: str) -> Executor:
        return self._own.get(ref, self._shared)
