"""Finite: tells rows with NaN or infinity in them, for models that declare that to be a failure.

Without that a NaN would become null in the JSON of a result, or hide behind the label that `argmax` makes of it.
"""

import math
import sys
from collections.abc import Sequence
from typing import Any

from headrace.errors import InvalidModel
from workers.failures import failed


def refuse_not_finite(rows: Sequence[Any]) -> list[Any]:
    """The rows, with how its item failed in place of each that has a NaN or an infinity anywhere in it."""
    return [row if is_finite(row) else _refusal() for row in rows]


def is_finite(row: Any) -> bool:
    """Tell whether all numbers of a row are finite: of a tensor, an array, or nested lists, tuples and dicts."""
    if isinstance(row, float):
        return math.isfinite(row)
    if isinstance(row, dict):
        return all(map(is_finite, row.values()))
    if isinstance(row, list | tuple):
        return all(map(is_finite, row))
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and isinstance(row, torch.Tensor):
        return bool(torch.isfinite(row).all())
    if numpy is not None and isinstance(row, numpy.ndarray | numpy.generic) and row.dtype.kind in "fc":
        return bool(numpy.isfinite(row).all())
    return True


def _refusal() -> Any:
    return failed(InvalidModel("forward returned a row with NaN or infinity in it"))
