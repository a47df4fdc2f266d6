"""Catalog: the scenarios by their names, at full length and in short."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from scheduler.simulation.events.machines import Machines, drawn_machines, read_machines
from scheduler.simulation.scenarios import classes, overload, pools, spot
from scheduler.simulation.scenarios.report import Finding

#: Machines of each zone when no trace says how many.
_MACHINES = 16


class Request(NamedTuple):
    """How a scenario is to be played."""

    seed: int = 1
    #: Of machines, for those scenarios that need one.
    trace: Path | None = None
    #: In a few seconds.
    is_short: bool = False


def _pools(request: Request) -> Finding:
    if request.is_short:
        return pools.run(hours=4.0, seed=request.seed, peaks=(0.4,))
    return pools.run(hours=24.0, seed=request.seed)


def _spot(request: Request) -> Finding:
    if request.trace:
        machines = read_machines(request.trace)
        # One class without a zone: there is no other to go to.
        return spot.run(hours=machines.last_s / 3600, seed=request.seed, zones={"": machines})
    hours = 4.0 if request.is_short else 12.0
    zones: dict[str, Machines] = {
        zone: drawn_machines(most=_MACHINES, hours=hours, seed=request.seed + place)
        for place, zone in enumerate(("a", "b"))
    }
    return spot.run(hours=hours, seed=request.seed, zones=zones)


def _classes(request: Request) -> Finding:
    return classes.run(hours=2.0 if request.is_short else 6.0, seed=request.seed)


def _overload(request: Request) -> Finding:
    return overload.run(hours=0.03 if request.is_short else 0.1, seed=request.seed)


SCENARIOS: Mapping[str, Callable[[Request], Finding]] = {
    "pools": _pools,
    "spot": _spot,
    "classes": _classes,
    "overload": _overload,
}
