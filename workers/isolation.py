"""Isolation: what happens when a forward pass fails.

One item's trouble stays its own, within a bounded number of passes. A batch that fails is halved until the culprit is
alone. If it failed for want of memory, no part of it that would cost as much runs again, and what was learnt is kept as
a limit for the batches to come.
"""

import gc
import logging
import math
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from headrace.jobs import Cause
from workers.failures import ItemResult, failed, is_device_lost
from workers.oom_limit import OomLimit

log = logging.getLogger(__name__)

#: One forward pass: from items to one row each, checked for length and order.
Forward = Callable[[Sequence[Any]], Sequence[Any]]


class Isolated(NamedTuple):
    """What a batch came to: one row per item, an `ItemResult` where it failed, and the passes that it took."""

    rows: list[Any]
    runs: int


class Isolation:
    """Runs batches of one loaded model.

    Args:
        name: how logs call the model.
        forward: runs one pass; it raises if the pass fails as a whole.
        limit: what is known of the memory's limit; passes correct it.
    """

    def __init__(self, *, name: str, forward: Forward, limit: OomLimit) -> None:
        self.limit = limit
        #: Where in the batch the part begins that runs.
        self.first = 0
        self._name = name
        self._forward = forward
        self._last_reported: tuple[object, ...] = ()

    def run(self, items: Sequence[Any], costs: Sequence[float] | None = None) -> Isolated:
        """Run a batch; without `costs` each item costs 1. No item can fail another one.

        At most `n + failing_passes(n)` passes for n items; one culprit takes up to 2 log2(n) + 1.

        Raises:
            Exception: torch's AcceleratorError, after which the device is of no more use to this process.
        """
        failure, self.first = None, 0
        if items and self.limit.cost == math.inf:
            # The usual way; a failure on it is the first pass of the search.
            found = self._pass(list(items))
            if not isinstance(found, ItemResult):
                self.limit.items_passed(max(costs or (1.0,)))
                return Isolated(list(found), 1)
            failure = found
        return self._search(items, costs or [1.0] * len(items), failure)

    def _search(self, items: Sequence[Any], costs: Sequence[float], known: ItemResult | None) -> Isolated:
        """Find out which items make a batch fail; `known` is how the whole of it failed, if it has run."""
        search = _Search(costs=costs, limit=self.limit)
        rows: list[Any] = [None] * len(items)
        while (part := search.next_part()) is not None:
            self.first = part.start
            ended, known = known or self._pass(list(items[part.start : part.stop])), None
            search.ended(part, ended.cause if isinstance(ended, ItemResult) else None)
            rows[part.start : part.stop] = [ended] * len(part) if isinstance(ended, ItemResult) else ended
        search.conclude()
        return Isolated(rows, search.runs)

    def _pass(self, items: list[Any]) -> Sequence[Any] | ItemResult:
        """One pass: rows, or why it failed."""
        try:
            return self._forward(items)
        except Exception as error:
            if is_device_lost(error):
                raise
            failure = failed(error)
            self._report(failure, error, len(items))
        # Outside of `except`, so that the traceback no longer keeps the failed pass's tensors alive.
        if failure.cause is Cause.OOM:
            _free_memory()
        return failure

    def _report(self, failure: ItemResult, error: Exception, items: int) -> None:
        """Log a failing pass with its traceback, once while the same line of code fails in the same way."""
        place = _place(error)
        if place != self._last_reported:
            # As text: a handler that keeps its records would keep the pass's tensors.
            trace = "".join(traceback.format_exception(error))
            log.warning("%s: a pass over %d items failed: %s\n%s", self._name, items, failure.body.decode(), trace)
            self._last_reported = place


def failing_passes(items: int) -> int:
    """How many passes over several items may fail before what is left of a batch of this size runs one by one."""
    return 2 * math.ceil(math.log2(max(items, 1))) + 2


class _Search:
    """Which part of a batch runs next, and what its failures say of the memory's limit."""

    def __init__(self, *, costs: Sequence[float], limit: OomLimit) -> None:
        self.runs = 0
        self._costs = costs
        self._limit = limit
        self._open = [range(len(costs))] if costs else []
        self._failures_left = failing_passes(len(costs))
        #: Parts that ran out of memory, and items that did so alone.
        self._too_large: list[range] = []
        self._too_large_alone: set[int] = set()

    def next_part(self) -> range | None:
        """The part that runs next, None when every item has its row."""
        while self._open:
            part = self._open.pop()
            if len(part) == 1 or self._may_run(part):
                self.runs += 1
                return part
            self._divide(part)
        return None

    def _may_run(self, part: range) -> bool:
        cost = self._cost(part)
        return self._failures_left > 0 and self._limit.allows(cost) and cost < self._unexplained()

    def _divide(self, part: range) -> None:
        middle = (part.start + part.stop) // 2
        self._open += [range(middle, part.stop), range(part.start, middle)]

    def ended(self, part: range, cause: Cause | None) -> None:
        """A part has run; without a cause it went through."""
        if cause is None:
            self._limit.passed(self._cost(part), len(part))
            self._limit.items_passed(max(self._costs[part.start : part.stop]))
        elif cause is Cause.OOM:
            self._ran_out_of_memory(part)
        if cause is not None and len(part) > 1:
            self._failures_left -= 1
            self._divide(part)

    def _ran_out_of_memory(self, part: range) -> None:
        if len(part) > 1:
            self._too_large.append(part)
        else:
            self._too_large_alone.add(part.start)

    def conclude(self) -> None:
        """Learn from the passes that were too large, unless one item alone explains them: it says nothing of others.

        Not of smaller ones, that is.
        """
        for place in self._too_large_alone:
            self._limit.item_failed(self._costs[place])
        if (cost := self._unexplained()) < math.inf:
            self._limit.failed(cost)

    def _unexplained(self) -> float:
        """Cost of the smallest part that ran out of memory though no item of it did so alone."""
        parts = (part for part in self._too_large if self._too_large_alone.isdisjoint(part))
        return min(map(self._cost, parts), default=math.inf)

    def _cost(self, part: range) -> float:
        return len(part) * max(self._costs[part.start : part.stop])


def _place(error: Exception) -> tuple[object, ...]:
    """The kind of an exception and where it was raised."""
    raised_at = traceback.extract_tb(error.__traceback__)[-1]
    return type(error), raised_at.filename, raised_at.lineno


def _free_memory() -> None:
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
