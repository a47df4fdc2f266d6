"""What the workers of a class leave to another class, which does it for less money. Redis keeps it for the workers.

It has a time to live: without a scheduler that says it again, workers take whatever they may.
"""

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError


class Manners(BaseModel):
    """How the workers of one class treat groups (`name@version:tier`) whose home is another; all others are theirs."""

    model_config = ConfigDict(frozen=True)

    #: Taken only when nothing of their own waits.
    spare: tuple[str, ...] = ()
    #: Not taken.
    left: tuple[str, ...] = ()

    def divide(self, groups: tuple[str, ...]) -> "Division":
        """Of these groups, which are theirs, and which are for spare time."""
        others = {*self.spare, *self.left}
        if not others:
            return Division(groups)
        own = tuple(group for group in groups if group not in others)
        return Division(own, tuple(group for group in groups if group in self.spare))


class Division(NamedTuple):
    """Groups to claim from: those that come first, and those for when there is nothing in them."""

    own: tuple[str, ...]
    spare: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Both."""
        return self.own + self.spare


#: Of a class of which nobody has said anything.
FREE = Manners()
_ADAPTER = TypeAdapter(dict[str, Manners])


def write_manners(manners: Mapping[str, Manners]) -> bytes:
    """As kept in Redis, by class; empty if no class leaves anything to another."""
    told = {name: some for name, some in manners.items() if some != FREE}
    return _ADAPTER.dump_json(told) if told else b""


def read_manners(raw: bytes | None, worker_class: str) -> Manners:
    """Those of a class; if nobody says them, or garbage, everything is theirs."""
    try:
        return FREE if raw is None else _ADAPTER.validate_json(raw).get(worker_class, FREE)
    except ValidationError:
        return FREE
