"""Every version of a model that was ever pushed, released or not, and what each is good for now."""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from headrace.errors import ModelError
from headrace.model_ref import ModelRef
from registry.manifest import Manifest
from registry.registry import Registry
from registry.release import Release


class VersionState(StrEnum):
    """What becomes of new jobs of a model, as one of its versions sees it."""

    #: Gets a share of them.
    SERVING = "serving"
    #: Likewise, on trial.
    CANARY = "canary"
    #: Gets copies of some, whose results nobody sees.
    SHADOW = "shadow"
    #: Gets those that name it.
    NAMED = "named"
    #: Gets none until it is released.
    UNRELEASED = "unreleased"


class PublishedVersion(NamedTuple):
    """A version; without a manifest there is a problem that keeps it from being read."""

    number: int
    manifest: Manifest | None
    problem: str = ""


class Publications(NamedTuple):
    """Some of a model's versions, the newest first."""

    versions: Sequence[PublishedVersion]
    #: `before` of those that come after them; None if there are no more.
    next: int | None


def state_of(release: Release, version: int) -> VersionState:
    """What a release says of a version."""
    weight = release.routes.get(version)
    if weight:
        return VersionState.CANARY if version == release.canary else VersionState.SERVING
    if version in release.shadows:
        return VersionState.SHADOW
    return VersionState.UNRELEASED if weight is None else VersionState.NAMED


def share_of(release: Release, version: int) -> float:
    """Which part of new jobs a version gets: 0 to 1."""
    return release.routes.get(version, 0) / sum(release.routes.values())


def read_published(registry: Registry, name: str, *, before: int | None, limit: int) -> Publications:
    """At most `limit` versions below number `before`; blocks.

    Raises:
        StoreUnavailable: if the store does not answer.
    """
    numbers = [number for number in reversed(registry.versions(name)) if before is None or number < before]
    versions = [_read(registry, ModelRef(name, number)) for number in numbers[:limit]]
    return Publications(versions, versions[-1].number if len(numbers) > limit else None)


def _read(registry: Registry, ref: ModelRef) -> PublishedVersion:
    try:
        return PublishedVersion(ref.version, registry.manifest(ref))
    except ModelError as error:  # one damaged version hides no other
        return PublishedVersion(ref.version, None, error.detail)
