"""Load: streams of jobs that go on for hours, each with a model, a tier and a rate."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from scheduler.simulation.arrivals import STEP_S, Array, Rate, draw_counts
from scheduler.simulation.events.queues import NEVER_S, Job

#: Seeds of different runs share no stream's seed.
_STREAMS = 16


class Stream(NamedTuple):
    """Jobs of one model version and tier."""

    rate: Rate
    ref: ModelRef
    tier: Tier = Tier.STANDARD
    #: Seconds from a job's arrival to its deadline.
    within_s: float = NEVER_S


def daily(low: float, high: float, *, hours: float, begins_h: float = 0.0, period_h: float = 24.0) -> Rate:
    """Jobs each second that go up and down like a cosine, from `low` at the beginning of a period to `high` at noon."""
    at_h = (np.arange(0, hours * 3600, STEP_S) / 3600 - begins_h) / period_h
    return Rate("daily", low + (high - low) * (1 - np.cos(2 * np.pi * at_h)) / 2)


def steady(per_s: float, *, hours: float) -> Rate:
    """The same rate all the time."""
    return Rate("steady", np.full(round(hours * 3600 / STEP_S), per_s))


def jobs_of(streams: Sequence[Stream], *, seed: int, burst_cv: float = 0.3) -> list[Job]:
    """All jobs in the order of their arrival, each at a random moment of its step."""
    draw = np.random.default_rng(seed)
    arrived: list[tuple[float, int]] = []
    for place, counts in enumerate(counts_of(streams, seed=seed, burst_cv=burst_cv)):
        steps = np.repeat(np.arange(len(counts)), counts.astype(int))
        at_s = (steps + draw.random(len(steps))) * STEP_S
        arrived += [(at, place) for at in at_s.tolist()]
    return [_job(number, at, streams[place]) for number, (at, place) in enumerate(sorted(arrived))]


def counts_of(streams: Sequence[Stream], *, seed: int, burst_cv: float = 0.3) -> list[Array]:
    """Jobs of each stream in each step."""
    # A stream's seed is its own, so that another stream beside it changes nothing about it.
    seeds = range(_STREAMS * seed, _STREAMS * (seed + 1))
    return [draw_counts(stream.rate.per_second, its, burst_cv) for its, stream in zip(seeds, streams, strict=False)]


def _job(number: int, at_s: float, stream: Stream) -> Job:
    return Job(number, at_s, stream.ref, stream.tier, at_s + stream.within_s)
