"""Models, their versions and what is known of them."""

from typing import Any

from pydantic import AwareDatetime, Field

from api.schemas.shape import Shape


class ModelLinks(Shape):
    """Where to go on."""

    self: str
    submit: str


class ModelRecord(Shape):
    """A released model."""

    name: str
    version: int = Field(description="The version that gets most jobs.")
    routes: dict[str, int] = Field(description="Version to its weight among new jobs.")
    description: str
    max_batch: int
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


class WarmModel(Shape):
    """What workers were told to load."""

    model: str
    versions: list[int] = Field(description="Those that get its jobs.")
    until: AwareDatetime = Field(description="When they may make way for others again.")
