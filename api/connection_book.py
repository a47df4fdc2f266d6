"""Which connections there are and how long each may go on as it does. Pure: `connection` does what is decided here.

A connection costs a caller nothing and this process a file descriptor and memory, so none may be held for ever by who
sends or takes nothing, and not all of them by anybody: when there are as many as there may be, a newcomer gets the
place of the one that has gone longest without a request. So neither idle connections nor requests that never get on
keep others out; only requests that are being answered do.
"""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from enum import StrEnum
from math import inf
from typing import Generic, NamedTuple, TypeVar

C = TypeVar("C", bound=Hashable)


class Phase(StrEnum):
    """What a connection is at."""

    #: Refused, and given a moment to read why.
    PARTING = "parting"
    #: Between two requests.
    IDLE = "idle"
    #: The rest of a request line and its header fields is to come, or the first of all.
    HEAD = "head"
    #: The rest of a body is to come.
    BODY = "body"
    #: The request is complete, the answer is not.
    BUSY = "busy"


#: In this order connections make way for newcomers; those in other phases never.
_GIVING_WAY = (Phase.PARTING, Phase.IDLE, Phase.HEAD)


class Entry(NamedTuple, Generic[C]):
    """What becomes of a newcomer."""

    has_place: bool
    #: Whoever must go for it.
    displaced: C | None


class ConnectionBook(Generic[C]):
    """Of one process; all times are monotonic seconds.

    Args:
        most: connections that there may be.
        patience_s: how long each may be at what; a phase that is not named may last.
        sending_s: how long one may take nothing of what is sent to it, whatever else it is at.
    """

    def __init__(self, *, most: int, patience_s: Mapping[Phase, float], sending_s: float) -> None:
        self._most = most
        self._patience_s = {phase: patience_s.get(phase, inf) for phase in Phase}
        self._sending_s = sending_s
        self._phases: dict[C, Phase] = {}
        # Patience is the same for all in a phase, so each of these is in the order in which it ends.
        self._until: dict[Phase, OrderedDict[C, float]] = {phase: OrderedDict() for phase in Phase}
        self._stalled: OrderedDict[C, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._phases)

    def enter(self, connection: C, now: float) -> Entry[C]:
        """Note a new connection, if need be in the place of another."""
        displaced = self._first_to_go() if len(self._phases) >= self._most else None
        if displaced is not None:
            self.leave(displaced)
        has_place = len(self._phases) < self._most
        self.note(connection, Phase.HEAD, now)
        return Entry(has_place, displaced)

    def _first_to_go(self) -> C | None:
        return next((next(iter(self._until[phase])) for phase in _GIVING_WAY if self._until[phase]), None)

    def note(self, connection: C, phase: Phase, now: float) -> None:
        """A connection begins something, or has got on with it: its patience begins anew."""
        before = self._phases.get(connection)
        if before is not None:
            del self._until[before][connection]
        self._phases[connection] = phase
        self._until[phase][connection] = now + self._patience_s[phase]

    def stall(self, connection: C, now: float) -> None:
        """What was sent to a connection piles up there, or has become less since."""
        self._stalled.pop(connection, None)
        self._stalled[connection] = now + self._sending_s

    def flow(self, connection: C) -> None:
        """A connection has taken what was sent to it."""
        self._stalled.pop(connection, None)

    def leave(self, connection: C) -> None:
        """A connection is gone, or counts no more."""
        self._stalled.pop(connection, None)
        if (phase := self._phases.pop(connection, None)) is not None:
            del self._until[phase][connection]

    def overdue(self, now: float) -> list[tuple[C, Phase]]:
        """Those whose patience is over, with what they were at, until they are noted anew or leave."""
        return [(connection, phase) for phase in Phase for connection in _past(self._until[phase], now)]

    def stalled(self, now: float) -> list[C]:
        """Those that have taken nothing for too long, until they are noted anew or leave."""
        return _past(self._stalled, now)


def _past(until: OrderedDict[C, float], now: float) -> list[C]:
    """The first of these, as far as their time is over."""
    past = []
    for connection, time in until.items():
        if time > now:
            break
        past.append(connection)
    return past
