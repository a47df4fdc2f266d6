"""Draws a burst with characters: bars for what waits in each tier, a block for each worker. Pure."""

import math
from collections.abc import Iterator, Sequence

from rich.text import Text

from examples.demo.timeline import Sample
from headrace.tiers import Tier

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_BAR_ROWS = 2
_LABEL = "{:<9}{:<9}"
_MARGIN = len(_LABEL.format("", "")) + len(" 1234")
_TIER_STYLES = {Tier.PRIORITY: "red", Tier.STANDARD: "yellow", Tier.SPOT: "blue"}
_BLOCK_STYLES = {"█": "green", "▒": "magenta", "░": "cyan", "·": "dim"}
_BLOCK_NAMES = {"█": "ready", "░": "starting", "▒": "draining", "·": "wanted"}
#: Seconds between two marks of the time axis, and the columns that a mark needs at least.
_STEPS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300)
_MARK_COLUMNS = 9


def draw(samples: Sequence[Sample], *, width: int) -> Text:
    """The picture, `width` columns wide."""
    columns = resample(samples, max(_MARK_COLUMNS, width - _MARGIN))
    rows = (*_bars(columns), *_piles(columns), _axis(columns), _legend())
    return Text("\n").join(rows)


def resample(samples: Sequence[Sample], columns: int) -> list[Sample]:
    """One sample for each of so many equal spans of time: of those within it the one with most jobs, or the latest."""
    first_s, last_s = samples[0].at_s, samples[-1].at_s
    span_s = max(last_s - first_s, 1e-9) / columns
    spans: list[list[Sample]] = [[] for _ in range(columns)]
    for sample in samples:
        spans[min(columns - 1, int((sample.at_s - first_s) / span_s))].append(sample)
    chosen: list[Sample] = []
    for index, span in enumerate(spans):
        busiest = max(span, key=lambda sample: sample.depth, default=chosen[-1] if chosen else samples[0])
        chosen.append(busiest._replace(at_s=first_s + index * span_s))
    return chosen


def _bars(columns: Sequence[Sample]) -> Iterator[Text]:
    """Two rows for each tier, all of one scale, with the most that waited."""
    peaks = {tier: max(sample.waiting[tier] for sample in columns) for tier in Tier}
    unit = max(1, *peaks.values()) / (8 * _BAR_ROWS)
    for tier in Tier:
        heights = [math.ceil(sample.waiting[tier] / unit) for sample in columns]
        upper, lower = ("".join(_eighths(height, level) for height in heights) for level in (1, 0))
        yield Text.assemble(_LABEL.format("", ""), (upper, _TIER_STYLES[tier]))
        title = "waiting" if tier is Tier.PRIORITY else ""
        yield Text.assemble(_LABEL.format(title, tier), (lower, _TIER_STYLES[tier]), (f" {peaks[tier]}", "dim"))


def _eighths(height: int, level: int) -> str:
    return _EIGHTHS[max(0, min(8, height - 8 * level))]


def _piles(columns: Sequence[Sample]) -> Iterator[Text]:
    """A row for each worker that there was at once, the first at the bottom."""
    piles = [_pile(sample) for sample in columns]
    for level in reversed(range(max(map(len, piles), default=0))):
        row = Text(_LABEL.format("workers" if level == 0 else "", level + 1))
        for pile in piles:
            block = pile[level : level + 1] or " "
            row.append(block, _BLOCK_STYLES.get(block))
        yield row


def _pile(sample: Sample) -> str:
    alive = "█" * sample.ready + "▒" * sample.draining + "░" * sample.starting
    return alive.ljust(sample.wanted, "·")


def _axis(columns: Sequence[Sample]) -> Text:
    """Marks at round seconds."""
    first_s = columns[0].at_s
    span_s = (columns[-1].at_s - first_s) / (len(columns) - 1)
    step_s = next((step for step in _STEPS_S if step >= _MARK_COLUMNS * span_s), _STEPS_S[-1])
    marks = ""
    for second in range(0, math.ceil(columns[-1].at_s), step_s):
        marks = marks.ljust(round((second - first_s) / span_s)) + f"{second} s"
    return Text(_LABEL.format("", "") + marks, "dim")


def _legend() -> Text:
    names = ((f"{block} {name}  ", _BLOCK_STYLES[block]) for block, name in _BLOCK_NAMES.items())
    return Text.assemble(_LABEL.format("", ""), *names)
