"""One of the ways that a river may go, by some thirty lines of numpy: a model that draws random numbers."""

from typing import NamedTuple

import numpy as np
from pydantic import BaseModel, Field

from headrace.model import Model

#: Days that are drawn of each, however many are asked for.
MOST_DAYS = 30
#: Where it tends to, m; how much of what is beyond that stays until the next day; and what a day may add or take, m.
USUAL, STAYS, SWAY = 2.0, 0.9, 0.25


class Gauge(BaseModel):
    """What is known today."""

    level: float = Field(ge=0, le=20, description="level of the river, m")
    days: int = Field(7, ge=1, le=MOST_DAYS, description="how far to look ahead")


class Outset(NamedTuple):
    """Where a course begins, how long it is, and what it is drawn from; None: from whatever there is."""

    level: float
    days: int
    seed: int | None = None


class RiverLevels(Model, max_batch=64):
    """One possible course of a river's level on the coming days, in metres: the same one for the same seed."""

    examples = (Gauge(level=1.5, days=14), Gauge(level=4, days=3))

    def preprocess(self, item: Gauge) -> Outset:
        """Without a seed, which only some jobs have."""
        return Outset(item.level, item.days)

    def seed(self, item: Outset, seed: int) -> Outset:
        """The same with the seed of its job."""
        return item._replace(seed=seed)

    def forward(self, batch: list[Outset]) -> list[np.ndarray]:
        """A course for each: drawn from a generator of its own, made here, so a repeated pass draws the same."""
        sways = SWAY * np.array([np.random.default_rng(item.seed).standard_normal(MOST_DAYS) for item in batch])
        level = np.array([item.level for item in batch])
        levels = np.empty_like(sways)
        for day in range(MOST_DAYS):
            level = np.maximum(0, USUAL + STAYS * (level - USUAL) + sways[:, day])
            levels[:, day] = level
        return [course[: item.days] for course, item in zip(levels, batch, strict=True)]

    def postprocess(self, row: np.ndarray) -> list[float]:
        """One course as plain numbers."""
        return [round(float(level), 3) for level in row]
