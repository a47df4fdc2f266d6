"""Draws one simulated system as a PNG: the load, the workers, and how long the last job in line waits."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from scheduler.simulation.arrivals import STEP_S
from scheduler.simulation.plant import Outcome, Plant

_INK, _GRID = "#333333", "#e6e6e6"
_WORKERS, _LOAD, _WAIT = "#4c956c", "#6c9ebf", "#c8553d"
_BIN_S = 600.0


def save_chart(path: Path, outcome: Outcome, counts: np.ndarray, plant: Plant, *, title: str, column: int = 0) -> None:
    """Draw one column of an outcome."""
    span = min(round(_BIN_S / STEP_S), max(1, len(counts) // 200))
    steps = len(counts) // span * span
    hours = np.arange(steps // span) * span * STEP_S / 3600

    def binned(values: np.ndarray) -> np.ndarray:
        return np.asarray(values[:steps], dtype=np.float64).reshape(-1, span)

    alive = outcome.alive[:, column]
    wait_s = outcome.backlog[:, column] / np.maximum(outcome.ready[:, column], 1) / plant.mu
    figure = Figure(figsize=(8.4, 4.6), dpi=90, layout="constrained")
    figure.suptitle(title, fontsize=11, color=_INK)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    needed = binned(counts[:, column]).mean(axis=1) / STEP_S / plant.mu
    above.step(hours, binned(alive).mean(axis=1), where="post", color=_WORKERS, linewidth=1.0, label="workers")
    above.fill_between(hours, needed, step="post", color=_LOAD, alpha=0.7, label="work that arrives")
    above.set_ylabel("workers")
    below.fill_between(hours, binned(wait_s).max(axis=1), step="post", color=_WAIT)
    below.axhline(plant.objective_s, color=_INK, linewidth=0.8, linestyle=(0, (4, 2)))
    below.set_ylabel("wait (s)")
    below.set_xlabel("hours")
    above.legend(loc="upper right", frameon=False, fontsize=9)
    for axes in (above, below):
        axes.set_ylim(bottom=0)
        axes.set_xlim(0, hours[-1])
        axes.grid(color=_GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(colors=_INK, labelsize=9)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.savefig(path)
