"""Models, their versions and what is known of them."""

from typing import Any

from pydantic import AwareDatetime, Field

from api.schemas.shape import Shape
from registry.published import VersionState


class ModelLinks(Shape):
    """Where to go on."""

    self: str
    submit: str
    versions: str
    schema_: str = Field(alias="schema")


class VersionLinks(Shape):
    """Where to go on."""

    schema_: str = Field(alias="schema")


class ModelRecord(Shape):
    """A released model."""

    name: str
    version: int = Field(description="The version that gets most jobs.")
    routes: dict[str, int] = Field(description="Version to its weight among new jobs.")
    description: str
    max_batch: int
    takes_seed: bool = Field(description="Whether that version's jobs may bring a `seed`.")
    workers: int = Field(description="Workers that have it loaded.")
    created: AwareDatetime
    released: AwareDatetime
    examples: list[Any]
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    links: ModelLinks


class ModelList(Shape):
    """The released models by name."""

    models: list[ModelRecord]


class VersionRecord(Shape):
    """A version of a model, released or not."""

    version: int
    state: VersionState = Field(
        description="Whether it gets new jobs: `serving`, `canary`, `shadow` (copies of some), `named` (only those that"
        " name it), `unreleased` (none)."
    )
    share: float = Field(description="Which part of new jobs it gets: 0 to 1.")
    shadow_share: float = Field(description="Of which part of new jobs it gets copies: 0 to 1.")
    aliases: list[str] = Field(description="`name@alias` means it.")
    digest: str | None = Field(description="SHA-256 of what it is: equal content, equal digest.")
    created: AwareDatetime | None
    problem: str | None = Field(description="Why it cannot be read; null if it can.")
    links: VersionLinks


class VersionList(Shape):
    """Versions of a model, the newest first."""

    model: str
    versions: list[VersionRecord]
    next: int | None = Field(description="`before` of the next page; null if this is the last one.")


class ModelSchema(Shape):
    """What one version of a model takes and gives, as JSON Schema."""

    model: str
    version: int
    digest: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    takes_seed: bool = Field(description="Whether its jobs may bring a `seed`.")


class WarmModel(Shape):
    """What workers were told to load."""

    model: str
    versions: list[int] = Field(description="Those that get its jobs.")
    until: AwareDatetime = Field(description="When they may make way for others again.")
