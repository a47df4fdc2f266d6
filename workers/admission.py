"""Admission: which of the waiting jobs of a model version share a batch with the head of the order. Pure.

A batch is padded to its largest item, so company is not always cheap. A job joins while the batch with it costs less
time than the batch and the job one after the other: what it saves (a batch takes time beyond the work of its items)
must be clearly more than the filling that it causes. Jobs of about the head's cost are asked first.
"""

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import NamedTuple

from workers.batch_size import AROUND_S
from workers.cost_model import CostModel
from workers.hinge import Hinge
from workers.waiting import NEVER_S, Entry, Waiting

#: So many batches' worth of waiting jobs are candidates for one batch.
WINDOW_BATCHES = 8
#: How much of the time that a job saves by not running alone its filling may cost. Less than all, because better
#: company may come for it. On a measured curve anything from 0.4 to 1 is about as good; beyond that much is lost.
FAIR_SHARE = 0.5
#: Until the cost model knows what padding costs, at most this share of a batch may be padding.
BLIND_PADDING = 0.2

#: More than any two costs differ (`cost_model`).
_TIER_APART = 1e13
_DEADLINE_S = attrgetter("job.deadline_s")


class Limits(NamedTuple):
    """What bounds the batches of one model version here, and what is known about their time.

    `sized` says that the author gives costs; without it every job costs 1, prepared or not.
    """

    costs: CostModel
    #: Most items, by the author.
    max_batch: int = 1
    sized: bool = False
    #: Most padded cost, by the author.
    max_cost: float = float("inf")
    #: Most padded cost that the device's memory is known to hold.
    memory_cost: float = float("inf")
    #: How long a batch may wait for company, for each tier; priority jobs never wait.
    max_wait_s: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def budget(self) -> float:
        """Most padded cost of a batch; one job alone may exceed it."""
        return min(self.max_cost, self.memory_cost)


class Formed(NamedTuple):
    """Jobs that would share a batch, and whether more company would be welcome: then it may be worth waiting for."""

    entries: list[Entry]
    cost: float
    soonest_s: float = NEVER_S
    wants_more: bool = False


def form(head: Entry, waiting: Waiting, limits: Limits, now: float) -> Formed:
    """The batch that `head` should run in, itself included.

    Jobs whose costs are not known have nothing to be compared by: if the head is one, such jobs follow it in order, or
    none if the cost of the batch is limited.
    """
    if waiting.is_apart:
        return Formed([head], waiting.costs.get(head.job.slot, 0.0) if limits.sized else 1.0)
    if not limits.sized:
        return _form_equal(head, waiting, limits, now)
    if head.job.slot in waiting.costs:
        return _join(head, _nearest(head, waiting, limits), waiting.costs, limits, now)
    most = limits.max_batch if limits.budget == float("inf") else 1
    unknown = [entry for entry in waiting.first(most) if entry.job.slot not in waiting.costs]
    return Formed(led_by(head, unknown, most), 0.0)


def _form_equal(head: Entry, waiting: Waiting, limits: Limits, now: float) -> Formed:
    """Everything in order, up to the size that is best."""
    size = limits.costs.sizes.choose(max(int(min(limits.max_batch, limits.budget)), 1))
    entries = led_by(head, waiting.first(size), size)
    if not waiting.has_deadlines or min(map(_DEADLINE_S, entries)) == NEVER_S:
        return Formed(entries, float(len(entries)), wants_more=len(entries) < size)
    return _join(head, entries[1:], {}, limits._replace(max_batch=size), now)


def led_by(head: Entry, entries: list[Entry], most: int) -> list[Entry]:
    """`most` of these, which are in order, with the head first."""
    if entries and entries[0] is head:
        return entries
    return [head, *(entry for entry in entries if entry is not head)][:most]


def _nearest(head: Entry, waiting: Waiting, limits: Limits) -> list[Entry]:
    """The candidates: higher tiers first, within a tier those of about the head's cost."""
    costs = waiting.costs
    own = costs[head.job.slot]
    window = waiting.first(WINDOW_BATCHES * limits.max_batch)
    known = [entry for entry in window if entry.job.slot in costs and entry is not head]
    # Python sorts by plain numbers twice as fast as by pairs of them.
    return sorted(known, key=lambda entry: entry.job.tier * _TIER_APART + abs(costs[entry.job.slot] - own))


def _join(head: Entry, candidates: Iterable[Entry], costs: Mapping[int, float], limits: Limits, now: float) -> Formed:
    """Let the candidates that are worth it join, until the batch is full or would make a member late."""
    model, most = limits.costs, limits.max_batch
    hinge = model.hinge if model.known else None
    budget = min(limits.budget, model.ceiling) if limits.sized else limits.budget
    largest = useful = padded = costs.get(head.job.slot, 1.0)
    soonest_s = _meetable(head, padded, model, now)
    entries = [head]
    for entry in candidates:
        if len(entries) >= most:
            return Formed(entries, padded, soonest_s)
        cost = costs.get(entry.job.slot, 1.0)
        # Neither `max` nor `min`, which would be a third of this loop.
        highest = cost if cost > largest else largest
        grown = (len(entries) + 1) * highest
        if grown > budget or not _worth_it(hinge, useful, padded, grown, cost):
            continue
        if entry.job.deadline_s != NEVER_S or soonest_s != NEVER_S:
            sooner_s = min(soonest_s, _meetable(entry, cost, model, now))
            if sooner_s != NEVER_S and now + model.t_hi(grown) > sooner_s:
                return Formed(entries, padded, soonest_s)
            soonest_s = sooner_s
        entries.append(entry)
        largest, useful, padded = highest, useful + cost, grown
    fits_more = len(entries) < limits.max_batch and padded + largest <= budget
    wants_more = fits_more and padded < model.efficient_cost
    return Formed(entries, padded, soonest_s, wants_more)


def _worth_it(hinge: Hinge | None, useful: float, padded: float, grown: float, cost: float) -> bool:
    """Whether the grown batch takes clearly less time than the batch and a job of this cost after it.

    The job saves what its own batch would take beyond its work; it costs what the grown one takes beyond that, filling.
    """
    if hinge is None:
        return useful + cost >= (1 - BLIND_PADDING) * grown
    work_s = hinge.slope_s * cost
    filling_s = hinge.t(grown) - hinge.t(padded) - work_s
    return filling_s <= FAIR_SHARE * (hinge.t(cost) + AROUND_S - work_s)


def _meetable(entry: Entry, cost: float, model: CostModel, now: float) -> float:
    """The deadline of a job, if it can be met at all; one that cannot has no say in the size of the batch."""
    deadline_s = entry.job.deadline_s
    return NEVER_S if deadline_s == NEVER_S or now + model.t_hi(cost) > deadline_s else deadline_s
