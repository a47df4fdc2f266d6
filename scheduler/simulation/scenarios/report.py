"""Report: what a scenario found, as a table for people, as JSON, and as a picture."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from headrace.tiers import Tier
from scheduler.simulation.events.scheduling import Moment

Row = dict[str, float | str]

_INK, _GRID = "#333333", "#e6e6e6"
_CLASSES = ("#4c956c", "#6c9ebf", "#d9a441", "#9a7aa0")
_TIERS: Mapping[Tier, str] = {Tier.PRIORITY: "#c8553d", Tier.STANDARD: "#6c9ebf", Tier.SPOT: "#b5b5b5"}


class Finding(NamedTuple):
    """What was played, and what came of it."""

    scenario: str
    rows: list[Row]
    figures: Mapping[str, float]
    #: What is drawn.
    shown: Sequence[Moment]


def document(finding: Finding, took_s: float) -> dict[str, object]:
    """For machines."""
    figures = {name: round(value, 5) for name, value in finding.figures.items()}
    rows = [{name: _rounded(value) for name, value in row.items()} for row in finding.rows]
    return {"scenario": finding.scenario, "took_s": round(took_s, 1), "figures": figures, "rows": rows}


def table(rows: Sequence[Row]) -> Iterator[str]:
    """For people; all rows have the same columns."""
    lines = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True))


def save_chart(path: Path, finding: Finding) -> None:
    """Draw the workers of each class and the jobs that wait in each tier."""
    from matplotlib.figure import Figure

    moments = finding.shown
    hours = np.array([moment.at_s / 3600 for moment in moments])
    figure = Figure(figsize=(8.4, 4.6), dpi=90, layout="constrained")
    figure.suptitle(finding.scenario, fontsize=11, color=_INK)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    names = list(moments[0].staying)
    counts = [[moment.staying[name] for moment in moments] for name in names]
    above.stackplot(hours, counts, labels=names, colors=_CLASSES[: len(names)], step="post")
    above.set_ylabel("workers")
    above.legend(loc="upper right", frameon=False, fontsize=9)
    for tier, color in _TIERS.items():
        waiting = [moment.waiting[tier] for moment in moments]
        if any(waiting):
            below.plot(hours, waiting, color=color, linewidth=1.0, label=tier)
    below.set_ylabel("jobs waiting")
    below.set_xlabel("hours")
    below.legend(loc="upper right", frameon=False, fontsize=9)
    for axes in (above, below):
        axes.set_ylim(bottom=0)
        axes.set_xlim(hours[0], hours[-1])
        axes.grid(color=_GRID, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.tick_params(colors=_INK, labelsize=9)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.savefig(path)


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3f}"


def _rounded(value: float | str) -> float | str:
    return value if isinstance(value, str) else round(value, 5)
