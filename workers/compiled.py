"""Compiled passes: `torch.compile` of a model's `forward`, for batches of a few sizes only.

Each new batch size would be compiled anew, for seconds; so a batch is padded up to the next bucket, and there are as
many graphs as buckets. Used only if the model has imported torch.
"""

import sys
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

#: What `torch.compile` generates code with.
BACKEND = "inductor"


class Compiled:
    """A `forward` that is compiled for stacked batches of one kind of item, that of the first batch it sees.

    Anything else (lists, items of another shape or type) runs as it was written, so that no input can cause
    compilation after the warm-up.

    Args:
        forward: the model's hook.
        mode: of `torch.compile`.
        buckets: the batch sizes that are compiled, increasing; the last one is the largest batch there is.
    """

    def __init__(self, forward: Callable[[Any], Any], *, mode: str, buckets: Sequence[int]) -> None:
        torch = sys.modules["torch"]
        # Past its limit of graphs torch would run further sizes uncompiled, without a word.
        limit = max(torch._dynamo.config.recompile_limit, len(buckets))
        torch._dynamo.config.recompile_limit = limit
        self._eager = forward
        options = {"mode": mode} if BACKEND == "inductor" else {}
        self._compiled = torch.compile(forward, dynamic=False, backend=BACKEND, **options)
        self._torch = torch
        self._buckets = buckets
        self._kind: object = None

    def __call__(self, batch: Any) -> Any:
        """Run a batch; answers one row per item."""
        if not isinstance(batch, self._torch.Tensor) or not self._is_known(batch):
            return self._eager(batch)
        count = len(batch)
        size = self._buckets[bisect_left(self._buckets, count)]
        rows = self._compiled(self._padded(batch, size - count))
        # A wrong number of rows is left as it is, for whoever checks it.
        return rows[:count] if hasattr(rows, "__getitem__") and len(rows) == size else rows

    def _is_known(self, batch: Any) -> bool:
        kind = (batch.shape[1:], batch.dtype)
        if self._kind is None:
            self._kind = kind
        return self._kind == kind

    def _padded(self, batch: Any, missing: int) -> Any:
        """Repeat the last item: it is as good an input as any, which zeros might not be."""
        return batch if not missing else self._torch.cat([batch, batch[-1:].expand(missing, *batch.shape[1:])])
