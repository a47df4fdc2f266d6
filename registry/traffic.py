"""Traffic: which versions of a model get new jobs, in what shares, and what its aliases mean. Pure.

Each change makes a new table from the one in force; the release log keeps them all.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from headrace.errors import InvalidInput

#: What the weights of a table are parts of.
WHOLE = 100
#: Begins with a letter, so that an alias never looks like a version.
_ALIAS = re.compile(r"[a-z][a-z0-9-]{0,31}")


class Traffic(NamedTuple):
    """Weights by version, and versions by alias. A version of weight 0 takes only jobs that name it.

    `canary` is the version that is on trial, if one is. `shadows` are versions that get copies of so many of a hundred
    new jobs, whose results nobody sees.
    """

    routes: Mapping[int, int]
    aliases: Mapping[str, int]
    canary: int | None = None
    shadows: Mapping[int, int] = MappingProxyType({})

    @property
    def shares(self) -> dict[int, int]:
        """The weights above 0."""
        return {version: weight for version, weight in self.routes.items() if weight > 0}


def promoted(table: Traffic, version: int) -> Traffic:
    """All traffic to one version; the versions that aliases name can still be asked for."""
    return _changed(table, {version: WHOLE})


def with_canary(table: Traffic, version: int, *, percent: int) -> Traffic:
    """So many of a hundred new jobs to one version, the rest to the others in the proportions that they have.

    Raises:
        InvalidInput: if the percentage is none, or nobody is left to take the rest.
    """
    if not 0 < percent < WHOLE:
        raise InvalidInput(f"{percent} % is no canary; choose 1 to 99, or promote the version to send it everything")
    others = {other: weight for other, weight in table.shares.items() if other != version}
    if not others:
        raise InvalidInput(f"version {version} has all traffic; a canary needs another version beside it")
    return _changed(table, {version: percent, **_scaled(others, WHOLE - percent)}, canary=version)


def withdrawn(table: Traffic, version: int) -> Traffic:
    """No traffic to a version any more; the others share it in the proportions that they have.

    Raises:
        InvalidInput: if it has none, or all of it.
    """
    others = {other: weight for other, weight in table.shares.items() if other != version}
    if version not in table.shares:
        raise InvalidInput(f"version {version} gets no traffic; there is nothing to withdraw")
    if not others:
        raise InvalidInput(f"version {version} gets all traffic; promote another one, or roll back")
    canary = table.canary if table.canary in others else None
    return _changed(table, _scaled(others, WHOLE), canary=canary)


def with_alias(table: Traffic, alias: str, version: int | None) -> Traffic:
    """An alias means a version from now on; None takes it away.

    Raises:
        InvalidInput: if it cannot be called so, or is to be taken away and is not there.
    """
    if not _ALIAS.fullmatch(alias):
        raise InvalidInput(f"'{alias}' is no alias; use a letter and then up to 31 of a-z, 0-9 and -")
    aliases = {name: number for name, number in table.aliases.items() if name != alias}
    if version is None and alias not in table.aliases:
        raise InvalidInput(f"there is no alias '{alias}'; known are {', '.join(sorted(aliases)) or 'none'}")
    if version is not None:
        aliases[alias] = version
    return _changed(table._replace(aliases=aliases), table.shares, canary=table.canary)


def with_shadow(table: Traffic, version: int, *, percent: int) -> Traffic:
    """Copies of so many of a hundred new jobs to one version; 0: none any more.

    Raises:
        InvalidInput: if the percentage is none, or the version gets jobs of its own.
    """
    if not 0 <= percent <= WHOLE:
        raise InvalidInput(f"{percent} % is no share; choose 1 to 100, or 0 to send no more copies")
    if percent and version in table.shares:
        raise InvalidInput(f"version {version} gets traffic; only one that gets none can be a shadow")
    shadows = {other: share for other, share in table.shadows.items() if other != version}
    if percent:
        shadows[version] = percent
    return _changed(table._replace(shadows=shadows), table.shares, canary=table.canary)


def _changed(table: Traffic, shares: Mapping[int, int], *, canary: int | None = None) -> Traffic:
    """Versions that an alias means or that shadow others stay in the table, with weight 0 where they have none."""
    shadows = {version: percent for version, percent in table.shadows.items() if version not in shares}
    without_share = dict.fromkeys((*table.aliases.values(), *shadows), 0)
    return Traffic({**without_share, **shares}, dict(table.aliases), canary, shadows)


def _scaled(weights: Mapping[int, int], whole: int) -> dict[int, int]:
    """The same proportions in whole numbers that add up to `whole`, by largest remainder; none falls to 0."""
    total = sum(weights.values())
    exact = {version: max(weight * whole / total, 1.0) for version, weight in weights.items()}
    scaled = {version: int(share) for version, share in exact.items()}
    by_remainder = sorted(exact, key=lambda version: (scaled[version] - exact[version], version))
    for version in by_remainder[: max(whole - sum(scaled.values()), 0)]:
        scaled[version] += 1
    largest = max(scaled, key=scaled.__getitem__)
    scaled[largest] -= sum(scaled.values()) - whole
    return scaled
