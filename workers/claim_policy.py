"""ClaimPolicy: how many jobs to claim, of which tiers, and when. Pure."""

from typing import NamedTuple, Self

from headrace.store_work import ClaimSize
from headrace.tiers import PRIORITY_LANE

#: A wait shorter than this is not worth a timer.
_AT_ONCE_S = 0.0005
#: Nobody looks for urgent jobs during a pass shorter than this: they wait for the next one, and it is near.
_WORTH_A_LOOK_S = 0.01
#: A pause between two passes counts as idleness from this share of a pass on, and from this length.
_IDLE_SHARE, _IDLE_S = 0.01, 0.001
#: Where a pass is shorter than the way of its jobs, so many batches more are held at most, and so many claimed by one
#: call: of a longer answer Redis sends no more than 64 KB at a time, and goes on with what came meanwhile in between.
_PASSES_AHEAD, _BATCHES_A_CALL = 5, 3
#: What remains of the head start after a pass without idleness.
_HEAD_START_REMAINS = 0.98


class Window(NamedTuple):
    """How many jobs should be with the child: a batch, and as many as it may choose that batch from."""

    batch: int
    most: int


class Staged(NamedTuple):
    """What is with the child and not in a pass."""

    jobs: int
    bytes: int
    #: Jobs of the priority tier among them.
    urgent: int


class RunningPass(NamedTuple):
    """A pass under way, by its first slot, in monotonic seconds."""

    number: int
    began: float
    ends_at: float

    def followed(self) -> Self:
        """The pass after it, if that takes as long."""
        return self._replace(began=self.ends_at, ends_at=2 * self.ends_at - self.began)


class ClaimPlan(NamedTuple):
    """Claim so much after `wait_s`; a most of 0 means not before something changes."""

    size: ClaimSize
    wait_s: float = 0.0
    #: True to claim from the groups of the priority tier only.
    is_urgent: bool = False
    #: The pass during which it was made, None if nothing ran.
    number: int | None = None
    #: True if the worker has nothing at all: then it holds until something comes.
    is_idle: bool = False


NOTHING = ClaimPlan(ClaimSize(0, 0, 0))


class ClaimPolicy:
    """Claim late: the next jobs are fetched just before the running pass ends.

    That keeps the batch as full and its order as fresh as possible, and leaves the jobs to whoever is idle meanwhile,
    at no cost in throughput. When the model is idle, a batch is claimed at once. What goes beyond a batch, to choose
    from, is claimed once a pass and leaves the larger part to others (see `claim.lua`). A full window is no reason not
    to look, just before the pass ends, whether something urgent has come.

    Args:
        lead_s: how long before the expected end the next jobs should be with the child. The way there, a round trip
            to Redis and down the pipe, and the time that the child needs to prepare a batch are learned, and come on
            top.
        most_bytes: of input that may be with the child.
    """

    def __init__(self, *, lead_s: float, most_bytes: int) -> None:
        self._lead_s = lead_s
        self._most_bytes = most_bytes
        self._trip_s = 0.0
        self._head_start_s = 0.0
        self._filled: int | None = None
        self._looked: int | None = None

    def trip_took(self, took_s: float) -> None:
        """Jobs were with the child so long after their claim was sent.

        A longer trip counts at once and a shorter one slowly: to be late idles the model, to be early costs little.
        """
        self._trip_s = max(took_s, 0.8 * self._trip_s + 0.2 * took_s)

    def idled(self, idle_s: float, *, pass_s: float) -> None:
        """The model was idle so long after a pass of `pass_s`, though its next jobs were on their way."""
        if idle_s > max(_IDLE_S, _IDLE_SHARE * pass_s):
            self._head_start_s = min(self._head_start_s + idle_s, pass_s)
        else:
            self._head_start_s *= _HEAD_START_REMAINS

    def claimed(self, plan: ClaimPlan) -> None:
        """A plan was carried out."""
        if plan.is_urgent:
            self._looked = plan.number
        else:
            self._filled = plan.number

    def plan(self, *, staged: Staged, window: Window, running: RunningPass | None, now: float) -> ClaimPlan:
        """Decide, given what waits in the child, how much should, and the running pass (None: nothing runs)."""
        waiting, until = staged.jobs, running
        if running is not None and waiting and running.began < running.ends_at <= now + self._trip_s:
            # Too late for the next pass: that takes what is staged, and this claim is for the pass after it. Counted as
            # waiting still, a batch that was once cut in two would stay in two for ever.
            waiting, until = max(waiting - window.batch, 0), running.followed()
        room, room_bytes = self._room(window, running, waiting), self._most_bytes - staged.bytes
        least = window.batch - waiting
        is_full = room <= 0 or room_bytes <= 0
        if running is None or until is None:
            size = ClaimSize(least, room, room_bytes)
            return NOTHING if is_full or least <= 0 else ClaimPlan(size, is_idle=not staged.jobs)
        if not is_full and (least > 0 or self._filled != running.number):
            wait_s = self._wait_s(until, now, early_s=self._head_start_s)
            size = ClaimSize(max(least, 0), room, room_bytes, ahead=max(-least, 0))
            return ClaimPlan(size, wait_s, number=running.number)
        return self._look(staged, window, running, now)

    def _room(self, window: Window, running: RunningPass | None, waiting: int) -> int:
        """Of passes that are over before the next claim is here, several are claimed ahead."""
        if running is None or (pass_s := running.ends_at - running.began) <= 0:
            return window.most - waiting
        passes = min(int(self._trip_s / pass_s), _PASSES_AHEAD)
        room = max(window.most, (1 + passes) * window.batch) - waiting
        return min(room, max(window.most, _BATCHES_A_CALL * window.batch))

    def _look(self, staged: Staged, window: Window, running: RunningPass, now: float) -> ClaimPlan:
        """See to it that a claim's share of urgent jobs is there when the next batch is formed."""
        lane = window.batch // PRIORITY_LANE - staged.urgent
        is_short = running.ends_at - running.began < _WORTH_A_LOOK_S
        if lane <= 0 or is_short or self._looked == running.number:
            return NOTHING
        size = ClaimSize(lane, lane, self._most_bytes)
        return ClaimPlan(size, self._wait_s(running, now), is_urgent=True, number=running.number)

    def _wait_s(self, running: RunningPass, now: float, *, early_s: float = 0.0) -> float:
        wait_s = running.ends_at - self._lead_s - self._trip_s - early_s - now
        return wait_s if wait_s > _AT_ONCE_S else 0.0
