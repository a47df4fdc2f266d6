"""Dedupe: which earlier job stands for a new one, so that the new one is not made. Pure."""

import re
from enum import StrEnum
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema, model_validator

from headrace.moments import Moment

#: How long a key is remembered at least, while its job is open.
REMEMBERED_S = 86_400
_HOW = "is active, content, or window: with how long (window:3600, window:PT1H)"
_PATTERN = r"^(active|content|window:([1-9][0-9]{0,6}|P[0-9]{1,3}D|PT[0-9]{1,5}[HMS]))$"


class Scope(StrEnum):
    """How long a job stands for others with its key."""

    #: Until it has ended.
    ACTIVE = "active"
    #: For a time from its submission on, however it ends, as long as it is kept.
    WINDOW = "window"
    #: As long as it is open, or its result is kept; the key is model, version, input and seed.
    CONTENT = "content"

    def covers(self, *, is_over: bool, has_succeeded: bool) -> bool:
        """Tell whether a job that is kept, and whose key is remembered, stands for another."""
        return self is Scope.WINDOW or not is_over or (self is Scope.CONTENT and has_succeeded)


class DedupeScope(NamedTuple):
    """A scope as callers write it: `active`, `content`, `window:3600`, `window:PT1H`."""

    kind: Scope = Scope.ACTIVE
    window_s: int = 0

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Read what a caller wrote.

        Raises:
            ValueError: saying how to write it.
        """
        if not isinstance(value, str) or not re.match(_PATTERN, value):
            raise ValueError(_HOW)
        kind, _, span = value.partition(":")
        if not span:
            return cls(Scope(kind))
        seconds = Moment.parse(span if span.startswith("P") else int(span)).ms // 1000
        if not seconds:
            raise ValueError("is a window of no length; give it a second or more")
        return cls(Scope.WINDOW, seconds)


#: A field of a request that holds a `DedupeScope`.
ScopeField = Annotated[
    DedupeScope,
    PlainValidator(DedupeScope.parse),
    WithJsonSchema(
        {"type": "string", "pattern": _PATTERN, "default": "active", "examples": ["active", "window:PT1H", "content"]}
    ),
]


class Dedupe(BaseModel):
    """Which earlier job stands for this one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str | None = Field(
        None,
        min_length=1,
        max_length=255,
        description="What makes two jobs the same; with scope `content` that is model, version, input and seed.",
    )
    scope: ScopeField = Field(
        default_factory=DedupeScope,
        description="`active`: one that has not ended. `window:PT1H`: one that was submitted within that time, however"
        " it ended. `content`: one that has not ended, or whose result is kept.",
    )

    @model_validator(mode="after")
    def _has_one_key(self) -> Self:
        if self.scope.kind is Scope.CONTENT and self.key is not None:
            raise ValueError("scope content has a key of its own, model, version, input and seed; leave key out")
        if self.scope.kind is not Scope.CONTENT and self.key is None:
            raise ValueError("give a key, or scope content, which needs none")
        return self
