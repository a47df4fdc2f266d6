"""Quantiles of what forecasts were wrong by, and what a forecast of one loses. Pure; one column for each pool."""

import numpy as np

from scheduler.forecast_models import Array

#: Fewer errors than these say nothing about a quantile.
LEAST_SAMPLES = 20


def quantile_of(samples: Array, quantile: Array, *, unknown: float) -> Array:
    """Each column's own quantile, past NaN; `unknown` where there are too few samples."""
    known = np.count_nonzero(~np.isnan(samples), axis=0)
    ordered = np.sort(samples, axis=0)
    place = np.clip(np.ceil(quantile * known).astype(int) - 1, 0, len(samples) - 1)
    found = ordered[place, np.arange(samples.shape[1])]
    return np.where(known >= LEAST_SAMPLES, found, unknown)


def pinball_loss(over: Array, quantile: Array, *, least: int) -> Array:
    """The mean loss of forecasts of a quantile (Koenker and Bassett, Regression Quantiles, 1978).

    Args:
        over: by how much more came than was forecast, NaN where that is unknown.
        quantile: of each column.
        least: a column with fewer known rows loses infinitely much.
    """
    losses = np.maximum(quantile * over, (quantile - 1) * over)
    known = ~np.isnan(losses)
    count = known.sum(axis=0)
    total = np.where(known, losses, 0.0).sum(axis=0)
    return np.where(count >= least, total / np.maximum(count, 1), np.inf)
