"""HangWatch: what takes a model's process too long. Pure: it is told what begins and ends, and what time it is."""

import math
from collections.abc import Collection, Mapping

from workers.stage_marks import Stage


class HangWatch:
    """Watches one process, from its start to its death. All times are monotonic seconds.

    Args:
        forward_s: how long a forward pass may take, and a stage beside it for one job.
        load_s: how long a load may take, once the pass before it has ended.
    """

    def __init__(self, *, forward_s: float, load_s: float) -> None:
        self._forward_s = forward_s
        self._load_s = load_s
        #: Slots of the pass under way.
        self.running: list[int] = []
        #: The version that is being loaded.
        self.loading: str | None = None
        self._pass_deadline = self._load_deadline = math.inf
        #: Versions that are being copied to host memory, and when each must be there.
        self._parking: dict[str, float] = {}
        #: Slots of the pass that nobody waits for.
        self._forsaken: set[int] = set()
        #: The job that each stage is at, and since when.
        self._at_work: dict[Stage, tuple[int, float]] = {}

    @property
    def is_idle(self) -> bool:
        """True while no pass, load or copy is under way."""
        return not (self.running or self.loading or self._parking)

    @property
    def copying(self) -> str | None:
        """The version that is being copied to host memory; a pass or load under way was asked for before."""
        return None if self.running or self.loading else next(iter(self._parking), None)

    def pass_begins(self, slots: list[int], now: float) -> None:
        """A forward pass begins, so the one before has ended."""
        self.running, self._pass_deadline = slots, now + self._forward_s
        self._forsaken.clear()

    def pass_ended(self, slots: list[int]) -> None:
        """A forward pass ended; the next one may have begun."""
        if slots == self.running:
            self.running, self._pass_deadline = [], math.inf

    def forsake(self, slots: Collection[int], until: float) -> None:
        """Nobody waits for the results of these any more: a pass of nothing else counts as hanging from `until` on."""
        self._forsaken.update(slots)
        if self.running and self._forsaken.issuperset(self.running):
            self._pass_deadline = min(self._pass_deadline, until)

    def load_begins(self, ref: str, now: float) -> None:
        """A load was asked for; the process may be in a pass, and loads as soon as that ends."""
        self.loading, self._load_deadline = ref, now + self._forward_s + self._load_s

    def load_ended(self) -> None:
        """However it ended."""
        self.loading, self._load_deadline = None, math.inf

    def parking_begins(self, ref: str, now: float) -> None:
        """A copy to host memory was asked for; it waits for the pass as a load does."""
        self._parking[ref] = now + self._forward_s + self._load_s

    def parking_ended(self, ref: str) -> None:
        """However it ended."""
        self._parking.pop(ref, None)

    def give_up(self) -> None:
        """The process is killed for what hung; until its death nothing more does."""
        self._pass_deadline = self._load_deadline = math.inf
        self._parking, self._at_work = dict.fromkeys(self._parking, math.inf), {}

    def hanging(self, at_work: Mapping[Stage, int], now: float) -> str:
        """What takes too long, empty if nothing does; `at_work` are the jobs that stages are at."""
        if now > self._pass_deadline:
            return "a forward pass"
        if now > self._load_deadline:
            return f"loading {self.loading}"
        if late := [ref for ref, deadline in self._parking.items() if now > deadline]:
            return f"parking {late[0]}"
        return self._late_stage(at_work, now)

    def _late_stage(self, at_work: Mapping[Stage, int], now: float) -> str:
        # A stage that is at the job at which it was seen before keeps the time of then.
        seen = self._at_work
        self._at_work = {s: seen[s] if s in seen and seen[s][0] == slot else (slot, now) for s, slot in at_work.items()}
        late = [stage for stage, (_, since) in self._at_work.items() if now - since > self._forward_s]
        return f"the stage {late[0].name.lower()} of one job" if late else ""
