"""Residency: which model versions a worker keeps in memory when not all of them fit. Pure.

One version is let in at a time. It must be worth its load (`model_choice`), and those that make way for it are the
least worth keeping (`eviction`). They are closed first: nothing more is claimed for them, what was claimed runs, then
they go. After a load of `l` seconds nothing else is loaded for `KAPPA * l`, so that loading takes at most a third of
the time. What was never loaded here and fits as it is need not wait, but counts.

Those that go may stay in host memory (`host_memory`). They come back by a copy, so less work is worth it, and the rest
after it is as short. Jobs too few for that are patient as before: where everything waits too long, whatever is
cheap to bring would be brought all the time.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from workers.eviction import Eviction
from workers.host_memory import HostMemory
from workers.model_choice import KAPPA, PATIENCE, Backlog, Candidate, weigh

#: What a load and a job are thought to take before one was seen.
_UNKNOWN_LOAD_S, _UNKNOWN_JOB_S = 1.0, 0.1


class Footprint(NamedTuple):
    """What a version needs: memory that it keeps, what its load and its passes need on top for a moment, and time.

    `return_s` is the time of its last copy from host memory, 0 if it was loaded; `can_park`: it can stay there.
    """

    size_bytes: int
    extra_bytes: int = 0
    load_s: float = _UNKNOWN_LOAD_S
    return_s: float = 0.0
    can_park: bool = False

    @property
    def came_s(self) -> float:
        """How long it took to bring it this time."""
        return self.return_s or self.load_s


class Plan(NamedTuple):
    """What the child should do now."""

    load: tuple[str, ...] = ()
    unload: tuple[str, ...] = ()
    #: To be copied to host memory, after the others are unloaded.
    park: tuple[str, ...] = ()


NOTHING = Plan()


class Residency:
    """Of one worker.

    Args:
        budget_bytes: memory that its models may use together with their process; 0: everything stays loaded.
        patience_s: how long a job may wait before its version is loaded for its sake alone.
        pinned: tells, by its reference, whether a version must stay once it is loaded.
        device_wide: True if each process that uses memory says what all of them use, as on a GPU.
        host_bytes: host memory in which those that make way may stay; 0: they are unloaded.
    """

    def __init__(
        self,
        *,
        budget_bytes: int = 0,
        patience_s: float = 10.0,
        pinned: Callable[[str], bool] = lambda _: False,
        device_wide: bool = False,
        host_bytes: int = 0,
    ) -> None:
        self.budget_bytes = budget_bytes
        self._device_wide = device_wide
        self._patience_s = patience_s
        self._eviction = Eviction(pinned)
        self._host = HostMemory(host_bytes)
        self._not_parked: set[str] = set()
        #: The last time of a copy from host memory, or, before there was one, of that to it.
        self._return_s: dict[str, float] = {}
        #: Memory in use by each process that has models loaded; one figure for all if they share a device.
        self._used: dict[str, int] = {}
        self._footprints: dict[str, Footprint] = {}
        self._known: set[str] = set()
        self._waiting: Mapping[str, Sequence[Backlog]] = {}
        self._job_s: dict[str, float] = {}
        self._asked: frozenset[str] = frozenset()
        #: For whom room is made, and who makes it.
        self.coming: str | None = None
        self.leaving: set[str] = set()
        #: What was ordered and has not happened yet.
        self._moving: set[str] = set()
        self._rests_until = -math.inf

    # --- what is known

    def expect(self, ref: str, footprint: Footprint) -> None:
        """What a version that was never loaded here will probably need."""
        self._footprints.setdefault(ref, footprint)

    def footprint(self, ref: str) -> Footprint:
        """What a version needs, as far as is known."""
        return self._footprints.get(ref, Footprint(0))

    def saw(self, waiting: Mapping[str, Sequence[Backlog]]) -> None:
        """So much waits in the queues for each version."""
        self._waiting = waiting

    def ask(self, refs: Collection[str]) -> None:
        """Somebody wants these loaded, jobs or not."""
        self._asked = frozenset(refs)

    def ran(self, ref: str, jobs: int, *, job_s: float | None, now: float) -> None:
        """A pass over so many jobs ended; one of them takes `job_s` in a full pass."""
        self._eviction.used(ref, jobs, now)
        self._host.used(ref, jobs, now)
        if job_s is not None:
            self._job_s[ref] = job_s

    # --- what happens

    def loaded(self, ref: str, footprint: Footprint, *, used_bytes: int, now: float, process: str = "") -> None:
        """A version was loaded, and its process uses so much memory now."""
        self._known.add(ref)
        self._footprints[ref] = footprint._replace(can_park=footprint.can_park and ref not in self._not_parked)
        self._uses(process, used_bytes)
        self._host.gone(ref)
        if footprint.return_s:
            self._return_s[ref] = footprint.return_s
        self._eviction.loaded(ref, size_bytes=footprint.size_bytes, load_s=footprint.came_s, now=now)
        self.coming = None if self.coming == ref else self.coming
        self._moving.discard(ref)
        self._rest(footprint.came_s, now)

    def unloaded(self, ref: str, *, used_bytes: int | None, process: str = "") -> None:
        """A version was unloaded, and its process uses so much memory now; None: that is gone with it."""
        if used_bytes is None:
            self._frees(process, [ref])
        else:
            self._uses(process, used_bytes)
        self._host.gone(ref)
        self._left(ref)

    def parked(self, ref: str, host_bytes: int, took_s: float, *, used_bytes: int, now: float) -> None:
        """A version was copied to host memory, of which it takes so much; its process uses so much of the device."""
        self._uses("", used_bytes)
        self._return_s.setdefault(ref, took_s)
        self._host.parked(ref, host_bytes, self._saved_s(ref))
        self._left(ref)
        self._rest(took_s, now)

    def do_not_park(self, ref: str) -> None:
        """A version is unloaded from now on when it makes way: its copy may cost the process."""
        self._not_parked.add(ref)
        self._footprints[ref] = self.footprint(ref)._replace(can_park=False)

    def _left(self, ref: str) -> None:
        self._moving.discard(ref)
        if ref in self.leaving:
            self.leaving.discard(ref)
            self._eviction.evicted(ref)
        self._eviction.gone(ref)

    def refused(self, ref: str, *, used_bytes: int, now: float, process: str = "") -> None:
        """A version could not be loaded, and is not there any more if it had been; its process uses so much memory."""
        self._uses(process, used_bytes)
        self.leaving.discard(ref)
        self._eviction.gone(ref)
        self._host.gone(ref)
        self.coming = None if self.coming == ref else self.coming
        self._moving.discard(ref)
        self._rest(self.footprint(ref).load_s, now)

    def _uses(self, process: str, used_bytes: int) -> None:
        self._used["" if self._device_wide else process] = used_bytes

    def _frees(self, process: str, refs: Collection[str]) -> None:
        """A process is gone; what the device has left of what all used is only known by what was in it."""
        used_bytes = self._used.pop("" if self._device_wide else process, 0)
        if self._device_wide:
            self._used[""] = max(0, used_bytes - sum(self.footprint(ref).size_bytes for ref in refs))

    def _rest(self, load_s: float, now: float) -> None:
        """A load took so long; loads that did not wait for the end of a rest make it longer."""
        self._rests_until = max(now, self._rests_until) + KAPPA * load_s

    def process_lost(self, refs: Collection[str], process: str = "") -> None:
        """The process that had these loaded is gone; what fits is loaded again without a rest."""
        self._frees(process, [ref for ref in refs if ref in self._eviction])
        for ref in refs:
            self._eviction.gone(ref)
            self._host.gone(ref)
            self.leaving.discard(ref)
            self._moving.discard(ref)
            self._known.discard(ref)
        self.coming = None if self.coming in refs else self.coming
        self._rests_until = -math.inf

    # --- what to do

    def plan(self, loadable: Sequence[str], *, busy: Collection[str], now: float) -> Plan:
        """Decide what to load and unload, given what could be loaded and for what jobs are held here.

        With a budget that is one thing at a time: nothing more until it was told to have happened.
        """
        if not self.budget_bytes:
            return Plan(load=tuple(loadable))
        plan = NOTHING if self._moving else self._next(loadable, busy, now)
        self._moving.update(plan.load, plan.unload, plan.park)
        return plan

    def _next(self, loadable: Sequence[str], busy: Collection[str], now: float) -> Plan:
        if overflow := self._host.overflow(now):
            return Plan(unload=tuple(overflow))
        if self.leaving:
            return self._let_go(busy, now)
        # What jobs are held for was loaded until its process died.
        asked = self._asked.union(busy)
        if now < self._rests_until:
            loadable = [ref for ref in loadable if ref not in self._known or ref in asked]
        patience_s = self._patience(loadable)
        for candidate in sorted(
            (self._weigh(ref, patience_s, asked=ref in asked) for ref in loadable), key=self._order
        ):
            if (plan := self._admit(candidate, busy, now)) is not None:
                return plan
        return NOTHING

    def misfit(self, ref: str) -> str:
        """Why a version can never be loaded here; empty if it can."""
        if not self.budget_bytes or self._missing_bytes(ref) <= self._eviction.most_bytes:
            return ""
        needs, may_use = self.footprint(ref).size_bytes / 1e6, self.budget_bytes / 1e6
        return f"it needs {needs:,.0f} MB beside what must stay loaded, and this worker may use {may_use:,.0f} MB"

    def _patience(self, loadable: Sequence[str]) -> float:
        """How long jobs may wait before their version is loaded for their sake alone: the longer the more there are."""
        loads_s = sum(self.footprint(ref).load_s for ref in loadable if self._work_s(ref))
        return max(self._patience_s, PATIENCE * loads_s)

    def _weigh(self, ref: str, patience_s: float, *, asked: bool) -> Candidate:
        load_s, job_s = self._exchange_s(ref, is_there=ref in self._host), self._job_s.get(ref, _UNKNOWN_JOB_S)
        return weigh(ref, self._waiting.get(ref, ()), job_s=job_s, load_s=load_s, patience_s=patience_s, asked=asked)

    def _work_s(self, ref: str) -> float:
        return sum(backlog.jobs for backlog in self._waiting.get(ref, ())) * self._job_s.get(ref, _UNKNOWN_JOB_S)

    def _is_idle(self, busy: Collection[str]) -> bool:
        """Tell whether nothing could run here anyway, so that a load keeps nobody waiting."""
        return not busy and not any(map(self._work_s, self._eviction))

    def _has_much(self, ref: str) -> bool:
        """Tell whether a version would have to be loaded again if it went now."""
        return self._work_s(ref) >= KAPPA * self._exchange_s(ref, is_there=self.footprint(ref).can_park)

    def _order(self, candidate: Candidate) -> tuple[bool, tuple[bool, float, float]]:
        return candidate.ref != self.coming, candidate.order

    def _admit(self, candidate: Candidate, busy: Collection[str], now: float) -> Plan | None:
        """Load it, make room for it, or None: others may be looked at."""
        ref, missing_bytes = candidate.ref, self._missing_bytes(candidate.ref)
        if missing_bytes <= 0:
            is_wanted = ref not in self._known or candidate.work_s > 0 or candidate.asked
            return Plan(load=(ref,)) if is_wanted else None
        is_rested = now >= self._rests_until or candidate.asked
        pays = candidate.is_worth_it or (candidate.work_s > 0 and self._is_idle(busy))
        if not (is_rested and pays) or missing_bytes > self._eviction.most_bytes:
            return None
        kept = () if candidate.must_come else {resident for resident in self._eviction if self._has_much(resident)}
        victims = self._eviction.victims(missing_bytes, kept=kept, now=now)
        if victims is None:
            # Whoever can wait no longer waits for those that may not go yet; others would take the room meanwhile.
            return NOTHING if candidate.must_come else None
        self.coming, self.leaving = ref, set(victims)
        return self._let_go(busy, now)

    def _let_go(self, busy: Collection[str], now: float) -> Plan:
        """Let those go that have nothing left to run: one at a time where some may be parked, since each needs room."""
        idle = sorted(self.leaving.difference(busy))
        for ref in idle:
            if (dropped := self._room_for(ref, now)) is not None:
                return Plan(unload=tuple(dropped), park=(ref,))
        return Plan(unload=tuple(idle))

    def _room_for(self, ref: str, now: float) -> list[str] | None:
        """What goes from host memory for this one; None if it is not parked. What comes is copied from there first."""
        footprint = self.footprint(ref)
        if not footprint.can_park:
            return None
        kept = () if self.coming is None else (self.coming,)
        return self._host.room_for(ref, footprint.size_bytes, self._saved_s(ref), kept=kept, now=now)

    def _saved_s(self, ref: str) -> float:
        """Seconds by which a copy is faster than a load."""
        return self.footprint(ref).load_s - self._return_s.get(ref, 0.0)

    def is_parked(self, ref: str) -> bool:
        """Tell whether a version is in host memory."""
        return ref in self._host

    def _exchange_s(self, ref: str, *, is_there: bool) -> float:
        """What it costs to bring a version; from host memory a copy, and that of whoever goes there for it."""
        load_s = self.footprint(ref).load_s
        return min(load_s, 2 * self._return_s.get(ref, load_s)) if is_there else load_s

    def next_load_s(self, ref: str) -> float:
        """What it takes to bring a version: its load, or, if it is in host memory, a copy."""
        return self._return_s[ref] if ref in self._host else self.footprint(ref).load_s

    def _missing_bytes(self, ref: str) -> int:
        """Memory that must become free before a version can be loaded."""
        residents = [self._footprints[resident].extra_bytes for resident in self._eviction]
        extra_bytes = max([self.footprint(ref).extra_bytes, *residents])
        # What is loaded anew makes way for itself.
        size_bytes = 0 if ref in self._eviction else self.footprint(ref).size_bytes
        return sum(self._used.values()) + size_bytes + extra_bytes - self.budget_bytes
