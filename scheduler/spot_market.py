"""SpotMarket: what to do about machines that a cloud may take away or not give. Pure.

For each class of such machines (`is_spot`), with N workers wanted for the load and a cold start C:

    ahead      X more than N, so many as are interrupted within C with probability 0.95 at most, by the rate
               seen lately; none in a zone that is left alone
    fallback   min(N, N + X - ready) workers of the cheapest other class, once fewer than N were ready for max(60 s, C)
    return     so many of them go as were not missing at any time in 10 minutes
    zones      a zone that interrupted or refused twice within 15 minutes is not asked for more for 15 minutes; what is
               missing is asked for in other zones, and at once from the fallback

Who stands in is counted as a worker of the class that it stands in for when N is decided (`lend`): else what they do
would be taken for work that nobody does. So a shortage is answered with capacity, not with waiting: it outlasts any
drain. The rules are those of SkyServe and SpotHedge (Mao et al., EuroSys 2025).
"""

import math
from collections import deque
from collections.abc import Mapping

from headrace.worker_class import WorkerClass
from scheduler.observation import ClassLoad, Observation
from scheduler.policy import ClassDecision, Decision

#: The least time that spot workers must have been too few before others stand in.
GRACE_S = 60.0
#: How long so many of them must have been ready before the others go.
STABLE_S = 600.0
#: So many troubles of a zone within this time, and it is left alone for as long.
TROUBLES, EXCLUDED_S = 2, 900.0

_SURE = 0.95
#: The rate of interruptions fades over about this time.
_RATE_TAU_S = 3600.0


class _Supply:
    """What is remembered of one spot class."""

    def __init__(self) -> None:
        self.looked_at: float | None = None
        self.alive = 0
        #: Interruptions of one worker in a second, faded.
        self.rate = 0.0
        self.short_since: float | None = None
        #: How many were missing lately, and when.
        self._missing: deque[tuple[float, int]] = deque()
        #: Workers of another class that stand in, and which class.
        self.lent, self.lender = 0, ""
        #: Since when more are asked for than there are.
        self.asked_since: float | None = None

    def look(self, load: ClassLoad, wanted: int, now: float) -> int:
        """Take in how it is; answers how many workers were interrupted since the last look."""
        past_s = 0.0 if self.looked_at is None else now - self.looked_at
        lost = max(0, min(self.alive, load.desired or 0) - load.alive)
        exposed = self.alive * past_s
        if exposed > 0:
            self.rate += (lost / exposed - self.rate) * (1 - math.exp(-past_s / _RATE_TAU_S))
        self.looked_at, self.alive = now, load.alive
        is_short = load.ready < wanted
        self.short_since = None if not is_short else now if self.short_since is None else self.short_since
        is_asked = load.alive < min(wanted, load.desired or 0)
        self.asked_since = None if not is_asked else now if self.asked_since is None else self.asked_since
        return lost

    def is_refused(self, grace_s: float, now: float) -> bool:
        """Tell whether what was asked for has not come in all that time; then it is asked for anew."""
        if self.asked_since is None or now - self.asked_since < grace_s:
            return False
        self.asked_since = now
        return True

    def is_short(self, grace_s: float, now: float) -> bool:
        """Tell whether there have been too few for so long."""
        return self.short_since is not None and now - self.short_since >= grace_s

    def fallback(self, missing: int, now: float) -> int:
        """How many should stand in: as many as were missing at any time lately."""
        self._missing.append((now, missing))
        while self._missing[0][0] < now - STABLE_S:
            self._missing.popleft()
        return max(count for _, count in self._missing)


class SpotMarket:
    """Changes decisions where spot classes are concerned; remembers what happened to them.

    Args:
        classes: the worker classes; those with `is_spot` are looked after, the others may stand in.
    """

    def __init__(self, *, classes: Mapping[str, WorkerClass]) -> None:
        self._classes = classes
        self._supplies = {name: _Supply() for name, kind in classes.items() if kind.is_spot}
        #: When each zone made trouble lately.
        self._troubles: dict[str, deque[float]] = {}

    def forget(self) -> None:
        """Another scheduler decided meanwhile."""
        self._supplies = {name: _Supply() for name in self._supplies}
        self._troubles = {}

    def lend(self, seen: Observation) -> Observation:
        """The same, with those who stand in counted where they do; it is what the policy should see."""
        classes = dict(seen.classes)
        for name, supply in self._supplies.items():
            if not supply.lent:
                continue
            lender, borrower = classes[supply.lender], classes[name]
            own = max(0, (lender.desired or 0) - supply.lent)
            ready = max(0, min(supply.lent, lender.ready - own))
            starting = min(supply.lent - ready, lender.starting)
            classes[supply.lender] = _with_more(lender, -ready, -starting, own - (lender.desired or 0))
            classes[name] = _with_more(borrower, ready, starting, supply.lent)
        return seen._replace(classes=classes)

    def adjust(self, decision: Decision, seen: Observation, now: float) -> Decision:
        """What there should be, given what can be had; `now` is monotonic seconds."""
        if not self._supplies:
            return decision
        counts, reasons = decision.counts, {name: decided.reasons for name, decided in decision.classes.items()}
        wanted = {name: counts[name] for name in self._supplies}
        for name in self._supplies:
            self._look(name, seen.classes[name], wanted[name], now)
        self._move_between_zones(counts, reasons, seen, now)
        for name in self._supplies:
            if not self._is_excluded(self._classes[name].zone, now):
                self._go_ahead(name, counts, reasons, seen.classes[name])
            self._stand_in(name, wanted[name], counts, reasons, seen.classes[name], now)
        classes = {
            name: decided._replace(workers=counts[name], reasons=reasons[name])
            for name, decided in decision.classes.items()
        }
        return decision._replace(classes=classes)

    def _look(self, name: str, load: ClassLoad, wanted: int, now: float) -> None:
        supply, zone = self._supplies[name], self._classes[name].zone
        lost = supply.look(load, wanted, now)
        troubles = self._troubles.setdefault(zone, deque(maxlen=TROUBLES))
        troubles.extend([now] * lost)
        if supply.is_refused(_grace_s(load), now):
            troubles.append(now)

    def _is_excluded(self, zone: str, now: float) -> bool:
        troubles = self._troubles.get(zone, deque())
        return bool(zone) and len(troubles) == TROUBLES and now - troubles[0] < EXCLUDED_S

    def _move_between_zones(
        self, counts: dict[str, int], reasons: dict[str, tuple[str, ...]], seen: Observation, now: float
    ) -> None:
        """Ask nothing more of zones that are left alone; ask it of the others, the cheapest first."""
        for name in self._supplies:
            kind = self._classes[name]
            missing = counts[name] - seen.classes[name].alive
            if missing <= 0 or not self._is_excluded(kind.zone, now):
                continue
            counts[name] -= missing
            reasons[name] += (
                f"zone {kind.zone} interrupted or refused too often lately: {missing} fewer are asked for",
            )
            for other in self._alike(kind, is_spot=True):
                room = self._classes[other].max_workers - counts[other]
                if self._is_excluded(self._classes[other].zone, now) or room <= 0:
                    continue
                moved = min(missing, room)
                counts[other] += moved
                reasons[other] += (f"{moved} for {name}, whose zone is left alone",)
                missing -= moved

    def _go_ahead(
        self, name: str, counts: dict[str, int], reasons: dict[str, tuple[str, ...]], load: ClassLoad
    ) -> None:
        rate, count = self._supplies[name].rate, counts[name]
        ahead = min(_most_likely(count * rate * load.cold_start_s), self._classes[name].max_workers - count)
        if count and ahead > 0:
            counts[name] += ahead
            reasons[name] += (f"{ahead} more, since so many may be interrupted until others have started",)

    def _stand_in(
        self,
        name: str,
        wanted: int,
        counts: dict[str, int],
        reasons: dict[str, tuple[str, ...]],
        load: ClassLoad,
        now: float,
    ) -> None:
        """Let workers of another class stand in for what spot does not give."""
        supply, kind = self._supplies[name], self._classes[name]
        missing = max(0, min(wanted, max(wanted, counts[name]) - load.ready))
        is_answered = supply.is_short(_grace_s(load), now) or self._is_excluded(kind.zone, now)
        fallback = min(supply.fallback(missing if is_answered else 0, now), wanted)
        supply.lent = 0
        for other in self._alike(kind, is_spot=False) if fallback else ():
            moved = min(fallback, self._classes[other].max_workers - counts[other])
            if moved > 0:
                supply.lent, supply.lender = moved, other
                counts[other] += moved
                reasons[other] += (f"{moved} stand in for {name}, of which {load.ready} of {wanted} are ready",)
            return

    def _alike(self, kind: WorkerClass, *, is_spot: bool) -> list[str]:
        """Other classes that serve all of a class's tiers and models, the cheapest first."""
        found = [
            name
            for name, other in self._classes.items()
            if other is not kind and other.is_spot is is_spot and _can_do_all_of(other, kind)
        ]
        return sorted(found, key=lambda name: self._classes[name].price_per_hour)


def _can_do_all_of(other: WorkerClass, kind: WorkerClass) -> bool:
    """Tell whether workers of one class can run whatever those of the other can."""
    has_room = not other.memory_bytes or 0 < kind.memory_bytes <= other.memory_bytes
    return (
        set(kind.tiers) <= set(other.tiers)
        and ("*" in other.models or set(kind.models) <= set(other.models))
        and kind.device.partition(":")[0] == other.device.partition(":")[0]
        and set(kind.labels) <= set(other.labels)
        and has_room
    )


def _with_more(load: ClassLoad, ready: int, starting: int, desired: int) -> ClassLoad:
    return load._replace(
        ready=load.ready + ready, starting=load.starting + starting, desired=(load.desired or 0) + desired
    )


def _grace_s(load: ClassLoad) -> float:
    return max(GRACE_S, load.cold_start_s)


def _most_likely(mean: float) -> int:
    """So many events at most, with probability 0.95, of a Poisson process that has `mean` on average."""
    count, chance = 0, math.exp(-mean)
    sure = chance
    while sure < _SURE and count < 1000:
        count += 1
        chance *= mean / count
        sure += chance
    return count


def cost_per_hour(decided: Mapping[str, ClassDecision], classes: Mapping[str, WorkerClass]) -> float:
    """What the decided workers cost in an hour."""
    return sum(classes[name].price_per_hour * decision.workers for name, decision in decided.items())
