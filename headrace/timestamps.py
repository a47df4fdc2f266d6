"""Points in time as they are told to callers and receivers."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import overload


@overload
def rfc3339(ms: int) -> str: ...
@overload
def rfc3339(ms: int | None) -> str | None: ...
def rfc3339(ms: int | None) -> str | None:
    """Unix milliseconds as RFC 3339 in UTC."""
    if ms is None:
        return None
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(1024)
def _second(s: int) -> str:
    # What is told together mostly happened together.
    return datetime.fromtimestamp(s, UTC).strftime("%Y-%m-%dT%H:%M:%S")
