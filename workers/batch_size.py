"""Batch size: which number of equal items a model does most of in a second, found by trying. Pure.

A branch-and-bound search without a model of the curve. The time of a batch does not fall with its size, so between two
measured sizes l < u no size does more than (u - 1) / t(l) items a second; the gap that promises most is halved until
none promises `WORTH_TRYING` over the best size known. Below the smallest measured size nothing bounds the rate; there
the search goes on while the last halving cost little. After that the best size is used, and at times a neighbour of it,
so that neither one unlucky measurement nor a change of the machine decides for ever.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

#: What a batch costs around its pass: messages, start and commit. Without it a model that takes no time would get
#: whatever size came out best by chance.
AROUND_S = 0.5e-3
#: A gap is looked into if it may hold a size so many times better than the best known one.
WORTH_TRYING = 1.05
#: A size smaller than all measured ones may be so many times better than the smallest.
_HOPE_BELOW = 1.2
#: A size counts as measured after so many batches; the quicker one counts, because disturbances only slow.
_TRIALS = 2
#: After so many batches at the best size one is spent on a neighbour.
_LOOK_AROUND = 400
#: How fast the estimate of a size follows its batches.
_FOLLOW = 0.1
#: A batch counts as at most so many times slower than expected: a stall says nothing about the size.
_STALL = 2.0
#: Sizes kept when the state is written down.
_KEPT = 64


class BatchSize:
    """The search for one model version on one device; `observe` feeds it, `choose` asks it."""

    def __init__(self) -> None:
        #: For each size its batches and its seconds per item, those around the pass included.
        self._tried: dict[int, tuple[int, float]] = {}
        self._chosen = 0
        self._until_look = _LOOK_AROUND

    def observe(self, items: int, took_s: float) -> None:
        """A batch of so many equal items took so long."""
        each_s = (took_s + AROUND_S) / items
        batches, known_s = self._tried.get(items, (0, each_s))
        if batches < _TRIALS:
            known_s = min(known_s, each_s)
        else:
            known_s += _FOLLOW * (min(each_s, _STALL * known_s) - known_s)
        self._tried[items] = (min(batches + 1, 1 << 20), known_s)
        self._chosen = 0

    def choose(self, most: int) -> int:
        """The size of the next batch, at most `most`, while more than that waits."""
        if not 0 < self._chosen <= most:
            self._chosen = self._search(most)
        return self._chosen

    def _search(self, most: int) -> int:
        if self._tried.get(most, (0, 0.0))[0] < _TRIALS:
            return most
        known = {size: each for size, (batches, each) in self._tried.items() if size <= most and batches >= _TRIALS}
        best = min(known, key=known.__getitem__)
        promise_s, size = min(_gaps(known), default=(known[best], best))
        if promise_s * WORTH_TRYING < known[best]:
            return size
        self._until_look -= 1
        return best if self._until_look > 0 else self._neighbour(sorted(known), best)

    def _neighbour(self, sizes: list[int], best: int) -> int:
        """The less known of the measured sizes beside the best."""
        self._until_look = _LOOK_AROUND
        at = sizes.index(best)
        beside = sizes[max(at - 1, 0) : at] + sizes[at + 1 : at + 2]
        return min(beside, key=lambda size: self._tried[size][0], default=best)

    def to_state(self) -> list[list[float]]:
        """What has been learned, as rows of size, batches and seconds per item."""
        kept = sorted(self._tried.items(), key=lambda row: -row[1][0])[:_KEPT]
        return [[size, batches, each] for size, (batches, each) in kept]

    def restore(self, state: list[list[float]]) -> None:
        """Start from what `to_state` gave.

        Raises:
            ValueError: if that is not what this is.
        """
        tried = {int(size): (int(batches), float(each_s)) for size, batches, each_s in state}
        if not all(size > 0 and 0 < each_s < math.inf for size, (_, each_s) in tried.items()):
            raise ValueError(state)
        self._tried = tried


def _gaps(known: dict[int, float]) -> Iterator[tuple[float, int]]:
    """For each gap between measured sizes the least seconds per item it may hold, and a size in its middle."""
    sizes = sorted(known)
    if sizes[0] > 1:
        yield known[sizes[0]] / _HOPE_BELOW, sizes[0] // 2
    for low, high in pairwise(sizes):
        if high - low > 1:
            yield known[low] * low / (high - 1), (low + high) // 2
