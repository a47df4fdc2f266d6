"""Groups: what one batch may be made of and one bell rings for, `name@version:tier`."""

from headrace.errors import HeadraceError
from headrace.model_ref import ModelRef
from headrace.tiers import Tier


def group_of(ref: ModelRef, tier: Tier, outgrown_bytes: int = 0) -> str:
    """The group that jobs of this model version and tier wait in.

    Those that have outgrown workers with so many bytes of memory have one of their own, from which only larger ones
    claim.
    """
    return f"{ref}:{tier}>{outgrown_bytes}" if outgrown_bytes else f"{ref}:{tier}"


def queue_of(group: str) -> str:
    """The queue that a group belongs to, `name@version:tier`: with the jobs that have outgrown a size."""
    return group.partition(">")[0]


def split_group(group: str) -> tuple[ModelRef, Tier]:
    """The model version and tier of a group."""
    ref, _, tier = queue_of(group).rpartition(":")
    return ModelRef.parse(ref), Tier(tier)


def outgrown_of(group: str) -> int:
    """The bytes of memory that the jobs of a group have outgrown; 0 for most."""
    return int(group.partition(">")[2] or 0)


def is_group(text: str) -> bool:
    """Tell whether a group can be called so; anybody may write into a set of names."""
    try:
        split_group(text)
        outgrown_of(text)
    except (ValueError, HeadraceError):
        return False
    return True
