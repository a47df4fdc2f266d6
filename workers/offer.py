"""Offer: which of the models that could run here jobs are claimed for. Changed by remote control; pure."""

from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple, Self

from headrace.errors import InvalidInput
from headrace.groups import group_of
from headrace.model_ref import ModelRef
from headrace.tiers import Tier

#: Every group.
ALL = "*@*:*"
_FORM = "write NAME, NAME@VERSION, NAME:TIER, NAME@VERSION:TIER or *:TIER"


def pause_pattern(text: str) -> str:
    """The groups that `name[@version][:tier]` means, as a pattern over `name@version:tier`.

    Raises:
        InvalidInput: if it has another form.
    """
    ref, colon, tier = text.partition(":")
    name, at, version = ref.partition("@")
    if not name or (at and not version.isdecimal()) or (colon and tier not in tuple(Tier)):
        raise InvalidInput(f"'{text[:80]}' names no jobs; {_FORM}; tiers are {', '.join(Tier)}")
    return f"{name}@{version or '*'}:{tier or '*'}"


class Offer(NamedTuple):
    """What one worker takes.

    Attributes:
        names: models that it serves, `*` for any.
        pauses: patterns of groups that it claims nothing of for the time being.
    """

    names: tuple[str, ...]
    pauses: tuple[str, ...] = ()

    def serves(self, name: str) -> bool:
        """Tell whether a model is served here."""
        return any(fnmatchcase(name, pattern) for pattern in self.names)

    def groups(self, refs: Iterable[str], tiers: Sequence[Tier]) -> tuple[str, ...]:
        """What to claim from, given the versions that can run."""
        return tuple(group for group in self._served(refs, tiers) if not self._is_paused(group))

    def paused(self, refs: Iterable[str], tiers: Sequence[Tier]) -> tuple[str, ...]:
        """What would be claimed from if it were not paused."""
        return tuple(group for group in self._served(refs, tiers) if self._is_paused(group))

    def _served(self, refs: Iterable[str], tiers: Sequence[Tier]) -> list[str]:
        models = [ModelRef.parse(ref) for ref in refs]
        return [group_of(model, tier) for model in models if self.serves(model.name) for tier in tiers]

    def _is_paused(self, group: str) -> bool:
        return any(fnmatchcase(group, pattern) for pattern in self.pauses)

    def pause(self, patterns: Collection[str]) -> Self:
        """Claim nothing of these either."""
        return self._replace(pauses=tuple(dict.fromkeys((*self.pauses, *patterns))))

    def resume(self, patterns: Collection[str]) -> Self:
        """Claim of these again, as they were paused.

        Raises:
            InvalidInput: if one of them was not.
        """
        if unknown := [pattern for pattern in patterns if pattern not in self.pauses]:
            known = ", ".join(self.pauses) or "nothing"
            raise InvalidInput(f"{unknown[0]} was not paused here; paused is {known}; without a name all is resumed")
        return self._replace(pauses=tuple(pattern for pattern in self.pauses if pattern not in patterns))
