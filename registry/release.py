"""Release: an entry of a model's append-only log; the newest entry is the whole traffic table."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from headrace.model_ref import ModelRef
from registry.traffic import Traffic


class Release(BaseModel):
    """Which versions of a model serve, by weight; who said so, why and when (RFC 3339)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    seq: int = Field(ge=1)
    model: str
    routes: dict[int, int]
    aliases: dict[str, int] = {}
    #: The version on trial, if one is; its weight is above 0.
    canary: int | None = None
    #: Versions that get copies, by how many of a hundred new jobs.
    shadows: dict[int, int] = {}
    #: The entry whose table was put in force again, if this one goes back.
    restores: int | None = None
    by: str
    why: str = ""
    at: str

    @field_validator("routes")
    @classmethod
    def _some_traffic(cls, routes: dict[int, int]) -> dict[int, int]:
        if not any(weight > 0 for weight in routes.values()):
            raise ValueError("no version has a weight above 0")
        return routes

    @property
    def current(self) -> ModelRef:
        """The version with the highest weight, the newer one among equals."""
        version = max(self.routes, key=lambda version: (self.routes[version], version))
        return ModelRef(self.model, version)

    @property
    def traffic(self) -> Traffic:
        """The table that it puts in force."""
        return Traffic(self.routes, self.aliases, self.canary, self.shadows)

    def document(self) -> dict[str, Any]:
        """As it is kept: JSON with the versions as text."""
        return self.model_dump(mode="json")
