"""DueWork: how many workers it takes to end jobs before their deadlines. Pure.

Earliest deadline first, as jobs stand in the order of service: for each deadline d that a worker could still be started
for, the work due by then has to fit in what there is until then,

    due(d) + level * d  <=  what ready and coming workers do until d

and what does not fit is to be done by others, between the end of their cold start C and d:

    workers  =  present + (due(d) + level * d - done(d)) / (d - C)

Once all are there, due(d) / d of them are kept for it, on top of what arrives. What is due before anybody could be
ready buys nobody: it cannot be saved.
"""

from collections.abc import Iterable
from typing import NamedTuple

from scheduler.observation import ClassLoad, Due


class Urgency(NamedTuple):
    """What deadlines ask for."""

    #: Workers that there must be, with those that are there; 0 if those that are there do it.
    workers: float = 0.0
    #: Workers that are busy with it until its deadline.
    busy: float = 0.0
    #: What decides: all work that is due by then, and when.
    due: Due = Due(0.0, 0.0)


def urgency_of(dues: Iterable[Due], load: ClassLoad, level: float) -> Urgency:
    """What deadlines ask of a class, to which `level` seconds of work come each second."""
    found, work_s = Urgency(), 0.0
    cold_s = load.cold_start_s
    for work, in_s in sorted(dues, key=lambda due: due.in_s):
        work_s += work
        if in_s <= cold_s:
            continue
        # On average those that start have done half of it.
        done_s = load.ready * in_s + load.coming * (in_s - cold_s / 2)
        missing_s = work_s + level * in_s - done_s
        workers = load.ready + load.coming + missing_s / (in_s - cold_s) if missing_s > 0 else 0.0
        if (workers, work_s / in_s) > found[:2]:
            found = Urgency(workers, max(found.busy, work_s / in_s), Due(work_s, in_s))
    return found
