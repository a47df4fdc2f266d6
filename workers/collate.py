"""Collate and split: from prepared items to what `forward` takes, and from what it returns to rows.

Neither torch nor numpy is imported here: if the model has not imported them, there is nothing of theirs to handle.
"""

import sys
from collections.abc import Sequence
from typing import Any

from headrace.errors import InvalidModel


def collate(items: list[Any], device: str) -> Any:
    """Stack tensors (onto `device`) or arrays of one shape and type; answer anything else as the list it is."""
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and _alike(items, torch.Tensor):
        return torch.stack(items).to(device)
    if numpy is not None and _alike(items, numpy.ndarray):
        return numpy.stack(items)
    return items


def split(rows: Any, count: int) -> Sequence[Any]:
    """Take a batch's output apart; a tensor is copied to the CPU once.

    Raises:
        InvalidModel: if it is not one row per item in a known order.
    """
    if _is_a("torch", "Tensor", rows):
        rows = rows.cpu()
    elif not isinstance(rows, list | tuple) and not _is_a("numpy", "ndarray", rows):
        raise InvalidModel(f"forward returned {type(rows).__name__}, not a list, array or tensor of rows")
    length = len(rows) if getattr(rows, "ndim", 1) else 0
    if length != count:
        raise InvalidModel(f"forward returned {length} rows for {count} items; it must return one per item, in order")
    return list(rows)


def _alike(items: list[Any], kind: Any) -> bool:
    first = items[0]
    return isinstance(first, kind) and all(
        isinstance(item, kind) and item.shape == first.shape and item.dtype == first.dtype for item in items
    )


def _is_a(module: str, kind: str, value: Any) -> bool:
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(value, getattr(loaded, kind))
