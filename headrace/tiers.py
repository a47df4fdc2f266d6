"""Tiers: how urgent a job is, which decides its place in the order of service."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Tier(StrEnum):
    """What the submitter asks for."""

    #: Served first.
    PRIORITY = "priority"
    #: The default.
    STANDARD = "standard"
    #: Served when nothing more urgent waits, on capacity that may vanish.
    SPOT = "spot"


#: Milliseconds added to a job's arrival to make its score; the lowest score is served first. A job is overtaken
#: by a more urgent tier only if that one arrives less than the difference later, so no tier starves.
OFFSET_MS: Mapping[Tier, int] = MappingProxyType({Tier.PRIORITY: 0, Tier.STANDARD: 60_000, Tier.SPOT: 600_000})


#: Of the places in one claim, the share (one in so many) that priority jobs take first, however old the others are: so
#: a backlog that has waited longer than its offset slows urgent jobs, but does not stop them.
PRIORITY_LANE = 4

#: The offset of the next higher tier: no deadline moves a job's score before this, or it would be a way into that tier.
FLOOR_MS: Mapping[Tier, int] = MappingProxyType(
    {Tier.PRIORITY: 0, Tier.STANDARD: OFFSET_MS[Tier.PRIORITY], Tier.SPOT: OFFSET_MS[Tier.STANDARD]}
)


def score_of(tier: Tier, *, arrival_ms: float, deadline_ms: int = 0) -> float:
    """Where a job stands in the order of service, the lowest first; `submit.lua` computes the same.

    A deadline (0 = none) moves it forward within its tier, never past one that arrives now in the tier above.
    """
    score = arrival_ms + OFFSET_MS[tier]
    return min(score, max(deadline_ms, arrival_ms + FLOOR_MS[tier])) if deadline_ms else score
