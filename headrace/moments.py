"""Points in time as callers write them: RFC 3339, or from now on as ISO 8601 durations or seconds."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple, Self

from pydantic import PlainValidator, TypeAdapter, ValidationError, WithJsonSchema

#: The first and the last millisecond that can be written as RFC 3339 in UTC.
_FIRST_MS = round(datetime(1, 1, 1, tzinfo=UTC).timestamp()) * 1000
_LAST_MS = round(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()) * 1000 + 999
#: Farther away, a time is taken for a mistake.
_FARTHEST = timedelta(days=366)

_duration = TypeAdapter(timedelta)
_HOW = "write a time as 2030-01-31T12:00:00Z, or one from now on as seconds (90) or a duration (PT90S)"


class Moment(NamedTuple):
    """Milliseconds since 1970, or from now on."""

    ms: int
    is_relative: bool

    def at(self, now_ms: int) -> int:
        """Milliseconds since 1970."""
        return now_ms + self.ms if self.is_relative else self.ms

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Read what a caller wrote.

        Raises:
            ValueError: saying how to write it.
        """
        if isinstance(value, bool):
            raise ValueError(_HOW)
        if isinstance(value, int | float):
            return cls._from_now(value)
        if not isinstance(value, str):
            raise ValueError(_HOW)
        if value.startswith("P"):
            return cls._from_now(_seconds(value))
        return cls._absolute(value)

    @classmethod
    def _from_now(cls, seconds: float) -> Self:
        if not 0 <= seconds <= _FARTHEST.total_seconds():
            raise ValueError(f"must lie between now and {_FARTHEST.days} days ahead; {_HOW}")
        return cls(round(seconds * 1000), is_relative=True)

    @classmethod
    def _absolute(cls, text: str) -> Self:
        try:
            when = datetime.fromisoformat(text)
        except ValueError as error:
            raise ValueError(_HOW) from error
        if when.tzinfo is None:
            raise ValueError(f"has no time zone; {_HOW}")
        ms = round(when.timestamp() * 1000)
        if not _FIRST_MS <= ms <= _LAST_MS:
            raise ValueError(f"lies outside of the years 1 to 9999 in UTC; {_HOW}")
        return cls(ms, is_relative=False)


def _seconds(duration: str) -> float:
    try:
        return _duration.validate_python(duration).total_seconds()
    except ValidationError as error:
        raise ValueError(_HOW) from error


_SCHEMA = {
    "description": "A time as RFC 3339, or from now on as an ISO 8601 duration or a number of seconds.",
    "examples": ["2030-01-31T12:00:00Z", "PT90S", 90],
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "duration"},
        {"type": "number", "minimum": 0},
    ],
}

#: A field of a request that holds a `Moment`.
MomentField = Annotated[Moment, PlainValidator(Moment.parse), WithJsonSchema(_SCHEMA)]
