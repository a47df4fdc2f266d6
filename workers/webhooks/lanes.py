"""Lanes: which deliveries are attempted now, so that no receiver takes the place of the others. Pure.

Each receiver has a lane. It is as wide as the receiver deserves: a few attempts at once at first, more with each that
goes well, up to a limit, half as many after each that does not. A receiver that fails several times one after the
other rests, longer each time (a circuit breaker: Nygard, Release It!): meanwhile nothing is sent there. Half of all
places are for receivers that answer quickly, so those that hang, drip or are new can never take them all. Lanes take
turns: one that had its turn goes behind all that wait, so nobody, however quick, keeps another from ever beginning.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from workers.backoff import Backoff

T = TypeVar("T")

#: Attempts at once at a receiver of whom nothing is known.
FIRST_WIDTH = 2
#: Failures one after the other that let a receiver rest.
FAILURES = 5
FIRST_REST_S = 5.0
MOST_REST_S = 300.0
#: Receivers that answer faster, most of the time, are quick.
QUICK_S = 1.0
#: How much of the past the mean time of an attempt forgets with each.
_NEWS = 0.25
_FIRST_TOOK_S = 0.1
#: What finds no place here comes back after so long at the latest.
_MOST_BACK_S = 60.0
#: Receivers that are remembered.
_MOST_LANES = 10_000


class Placed(NamedTuple, Generic[T]):
    """What may begin now, or is to be refused because its receiver rests."""

    item: T
    lane: str
    #: Whether its lane was quick when it began; asked back by `ended`.
    is_quick: bool
    #: Seconds for which the receiver still rests; 0: begin.
    rests_s: float = 0.0


@dataclass
class _Lane(Generic[T]):
    width: int
    waiting: deque[T] = field(default_factory=deque)
    under_way: int = 0
    failures: int = 0
    rests_until: float = 0.0
    rest: Backoff = field(default_factory=lambda: Backoff(first_s=FIRST_REST_S, most_s=MOST_REST_S))
    took_s: float = _FIRST_TOOK_S
    has_worked: bool = False
    #: When what is sent back next will find a place.
    horizon: float = 0.0

    @property
    def is_quick(self) -> bool:
        return self.has_worked and not self.failures and self.took_s < QUICK_S

    @property
    def is_sick(self) -> bool:
        return self.failures >= FAILURES

    @property
    def places(self) -> int:
        """A receiver that has rested is tried with one attempt."""
        return 1 if self.is_sick else self.width

    @property
    def is_forgettable(self) -> bool:
        return not self.waiting and not self.under_way


class Lanes(Generic[T]):
    """All receivers of one courier. Times are seconds of one clock.

    Args:
        attempts: at once, all in all.
        width: at once at one receiver.
    """

    def __init__(self, *, attempts: int, width: int) -> None:
        self._attempts, self._width = attempts, min(width, attempts)
        #: Places for receivers that are not known to be quick, and as many may wait for them.
        self._slow_places = max(1, attempts // 2)
        self._lanes: OrderedDict[str, _Lane[T]] = OrderedDict()
        #: Those in which somebody waits, by whose turn it is.
        self._queues: dict[str, _Lane[T]] = {}
        self._under_way = self._slow_under_way = self._waiting = 0
        #: Receivers that failed so often that they are tried rarely.
        self.resting = 0

    @property
    def held(self) -> int:
        """Deliveries that are under way or wait here."""
        return self._under_way + self._waiting

    @property
    def room(self) -> int:
        """How many more may be offered: as many wait here as are under way, so that no place stays empty."""
        return max(0, 2 * self._attempts - self.held)

    def offer(self, item: T, lane: str, now: float) -> float:
        """Let a delivery wait in a lane; answers 0, or after how many seconds it shall come back, if there is no place.

        A lane that is full says when each will have its turn, so that a long queue of one receiver is looked at once.
        """
        own = self._lanes.get(lane) or self._new(lane)
        self._lanes.move_to_end(lane)
        is_resting = own.rests_until > now
        slow_waiting = sum(len(other.waiting) for other in self._queues.values() if not other.is_quick)
        if own.is_quick:
            is_full = len(own.waiting) >= self._attempts
        else:
            is_full = len(own.waiting) >= own.places or slow_waiting >= self._slow_places
        if is_full and not is_resting:
            own.horizon = max(own.horizon, now + own.took_s) + own.took_s / own.places
            return min(own.horizon - now, _MOST_BACK_S)
        own.waiting.append(item)
        self._queues[lane] = own
        self._waiting += 1
        return 0.0

    def take(self, now: float) -> list[Placed[T]]:
        """What begins now, in turns; and what does not, because its receiver rests."""
        found: list[Placed[T]] = []
        for name, lane in list(self._queues.items()):
            if turn := self._of(name, lane, now):
                found += turn
                self._queues[name] = self._queues.pop(name)
        self._drop_empty()
        return found

    def late(self, is_late: Callable[[T], bool]) -> list[T]:
        """What has waited too long here, the first in each lane first: it waits no longer."""
        found: list[T] = []
        for lane in self._queues.values():
            while lane.waiting and is_late(lane.waiting[0]):
                found.append(lane.waiting.popleft())
        self._waiting -= len(found)
        self._drop_empty()
        return found

    def _drop_empty(self) -> None:
        self._queues = {name: lane for name, lane in self._queues.items() if lane.waiting}

    def _of(self, name: str, lane: _Lane[T], now: float) -> list[Placed[T]]:
        found = []
        rests_s = max(0.0, lane.rests_until - now)
        while lane.waiting and (rests_s or self._has_place(lane)):
            self._waiting -= 1
            found.append(Placed(lane.waiting.popleft(), name, lane.is_quick, rests_s))
            if not rests_s:
                lane.under_way += 1
                self._under_way += 1
                self._slow_under_way += not lane.is_quick
        return found

    def _has_place(self, lane: _Lane[T]) -> bool:
        is_free = lane.under_way < lane.places and self._under_way < self._attempts
        return is_free and (lane.is_quick or self._slow_under_way < self._slow_places)

    def withdraw(self, placed: Placed[T]) -> None:
        """What was to begin does not."""
        self._lanes[placed.lane].under_way -= 1
        self._under_way -= 1
        self._slow_under_way -= not placed.is_quick

    def ended(self, placed: Placed[T], *, is_well: bool, took_s: float, now: float, pause_s: float = 0.0) -> None:
        """An attempt is over.

        Args:
            placed: as `take` answered it.
            is_well: whether the receiver is, whatever it thinks of the event.
            took_s: how long it took.
            now: when it ended.
            pause_s: for how long the receiver asks to be left alone.
        """
        self.withdraw(placed)
        lane = self._lanes[placed.lane]
        lane.took_s += _NEWS * (took_s - lane.took_s)
        self.resting -= lane.is_sick
        if is_well:
            lane.has_worked, lane.failures = True, 0
            lane.width = min(lane.width + 1, self._width)
            lane.rest.reset()
            return
        lane.failures += 1
        lane.width = max(1, lane.width // 2)
        self.resting += lane.is_sick
        if lane.is_sick:
            pause_s = max(pause_s, lane.rest.next_s())
        lane.rests_until = max(lane.rests_until, now + pause_s)

    def give_up(self) -> list[T]:
        """All that wait: nobody begins them any more."""
        found = [item for lane in self._queues.values() for item in lane.waiting]
        for lane in self._queues.values():
            lane.waiting.clear()
        self._queues, self._waiting = {}, 0
        return found

    def _new(self, name: str) -> _Lane[T]:
        if len(self._lanes) >= _MOST_LANES:
            oldest = next((other for other, lane in self._lanes.items() if lane.is_forgettable), None)
            if oldest is not None:
                self.resting -= self._lanes.pop(oldest).is_sick
        lane = self._lanes[name] = _Lane[T](width=min(FIRST_WIDTH, self._width))
        return lane
