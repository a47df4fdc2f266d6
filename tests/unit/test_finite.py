"""Rows with NaN or infinity are told from others, whatever they are made of."""

import math
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch

from headrace.jobs import Cause
from workers.failures import ItemResult
from workers.finite import is_finite, refuse_not_finite


def nested(value: float) -> dict[str, Any]:
    return {"scores": [(1.0, value)], "label": "x"}


@pytest.mark.parametrize(
    "make",
    [
        float,
        nested,
        lambda value: numpy.array([[1.0, value]]),
        lambda value: numpy.float32(value),
        lambda value: torch.tensor([1.0, value]),
        lambda value: torch.tensor([value], dtype=torch.bfloat16),
        lambda value: [torch.tensor(value), 1],
    ],
)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.5])
def test_a_number_that_is_not_finite_is_found_anywhere(make: Callable[[float], object], value: float) -> None:
    assert math.isfinite(value) is is_finite(make(value))


@pytest.mark.parametrize("row", [1, None, "nan", True, torch.tensor([1, 2]), numpy.array(["a"])])
def test_what_has_no_such_numbers_is_finite(row: object) -> None:
    assert is_finite(row)


def test_only_the_rows_concerned_are_refused() -> None:
    first, second = refuse_not_finite([1.0, math.nan])

    assert 1.0 == first
    assert isinstance(second, ItemResult)
    assert Cause.MODEL is second.cause
