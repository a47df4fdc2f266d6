"""Draws a burst as a PNG: what waits in each tier, and below it what the workers do, over the same seconds."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from examples.demo.timeline import Sample
from headrace.tiers import Tier

_TIER_COLOURS = {Tier.PRIORITY: "#c8553d", Tier.STANDARD: "#e9b44c", Tier.SPOT: "#6c9ebf"}
_WORKER_COLOURS = {"ready": "#4c956c", "draining": "#cdb4db", "starting": "#b5dcc3"}
_INK, _GRID = "#333333", "#e6e6e6"


def save_chart(path: Path, samples: Sequence[Sample], *, title: str, first_extra_s: float | None) -> None:
    """Draw the chart and write it as a PNG."""
    draw_chart(samples, title=title, first_extra_s=first_extra_s).savefig(path)


def draw_chart(samples: Sequence[Sample], *, title: str, first_extra_s: float | None) -> Figure:
    """Draw the chart; `first_extra_s` is when the first extra worker was started."""
    figure = Figure(figsize=(8.4, 5.0), dpi=110, layout="constrained")
    figure.suptitle(title, fontsize=12, color=_INK)
    jobs, workers = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _draw_jobs(jobs, samples)
    _draw_workers(workers, samples)
    if first_extra_s is not None:
        _mark_start(workers, first_extra_s)
    for axes in (jobs, workers):
        _dress(axes)
    workers.set_xlim(samples[0].at_s, samples[-1].at_s)
    workers.set_xlabel("seconds since the burst began")
    return figure


def _draw_jobs(axes: Axes, samples: Sequence[Sample]) -> None:
    """Those that are served first lie at the bottom, so that each tier is seen to drain."""
    axes.stackplot(
        [sample.at_s for sample in samples],
        *([sample.waiting[tier] for sample in samples] for tier in Tier),
        labels=[str(tier) for tier in Tier],
        colors=[_TIER_COLOURS[tier] for tier in Tier],
    )
    axes.set_ylabel("waiting jobs")
    axes.set_ylim(bottom=0)


def _draw_workers(axes: Axes, samples: Sequence[Sample]) -> None:
    seconds = [sample.at_s for sample in samples]
    counts = {
        "ready": [sample.ready for sample in samples],
        "draining": [sample.draining for sample in samples],
        "starting": [sample.starting for sample in samples],
    }
    colours = [_WORKER_COLOURS[name] for name in counts]
    axes.stackplot(seconds, *counts.values(), labels=list(counts), colors=colours, step="post")
    wanted = [sample.wanted for sample in samples]
    axes.step(seconds, wanted, where="post", label="wanted", color=_INK, linestyle=(0, (4, 2)), linewidth=1.2)
    axes.set_ylabel("worker processes")
    axes.set_ylim(0, max(max(sample.alive, sample.wanted) for sample in samples) + 0.9)


def _mark_start(axes: Axes, first_extra_s: float) -> None:
    axes.axvline(first_extra_s, color=_INK, linewidth=0.8)
    axes.annotate(
        f"first extra worker started after {first_extra_s:.1f} s",
        xy=(first_extra_s, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(5, -3),
        textcoords="offset points",
        verticalalignment="top",
        fontsize=9,
        color=_INK,
    )


def _dress(axes: Axes) -> None:
    """Quiet axes, whole numbers, a legend beside the data."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), reverse=True, frameon=False, fontsize=9)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_axisbelow(True)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.tick_params(colors=_INK, labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
