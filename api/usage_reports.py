"""What tenants had over a span of days, for one of them or for all."""

import re
from asyncio import gather
from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple

import redis

from headrace.errors import FieldError
from headrace.mux import Mux
from headrace.reading import invalid_fields
from headrace.usage import TenantDay, Usage, day_of
from headrace.usage_store import UsageStore

#: Days that one report goes over at most, and that it goes over if nothing is said.
MOST_DAYS, USUAL_DAYS = 366, 30
#: Days of tenants that are asked for at once.
_AT_ONCE = 500
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)


def parse_day(value: object) -> object:
    """A day as callers write it; nothing else that a date may be made of.

    Raises:
        ValueError: saying how to write it.
    """
    if isinstance(value, str) and not _DAY.match(value):
        raise ValueError("write a day as 2030-01-31")
    return value


class Span(NamedTuple):
    """Days from the first to the last, both of them in it."""

    first: date
    last: date

    @classmethod
    def of(cls, first: date | None, last: date | None, *, today: date) -> "Span":
        """The span that is meant where not both are given: up to today, a month long.

        Raises:
            InvalidInput: if it ends before it begins, or is too long.
        """
        last = last or today
        first = first or last - timedelta(days=min(USUAL_DAYS, last.toordinal()) - 1)
        if last < first:
            raise _wrong(f"is {last}, which is before {first}, where it begins", "empty_span")
        if (last - first).days >= MOST_DAYS:
            raise _wrong(f"is more than {MOST_DAYS} days after {first}; ask for a part of that", "span_too_long")
        return cls(first, last)

    def days(self) -> range:
        """Its days, counted from 1970."""
        return range(day_of(self.first), day_of(self.last) + 1)


def _wrong(problem: str, code: str) -> Exception:
    return invalid_fields([FieldError("/query/to", problem, code)])


class UsageReports:
    """Reads what the scripts have counted.

    Args:
        mux: how Redis is asked.
        store: operations of the cell.
    """

    def __init__(self, *, mux: Mux, store: UsageStore) -> None:
        self._run = mux.run
        self._store = store

    async def of(self, tenant: str, span: Span) -> list[Usage]:
        """What one tenant had, by day."""
        return await self._read([TenantDay(tenant, day) for day in span.days()])

    async def of_all(self, span: Span) -> list[Usage]:
        """What all tenants had, by tenant and day."""
        days = span.days()
        found = await self._run(self._store.days(days[0], days[-1]))
        return await self._read(sorted(found))

    async def _read(self, wanted: Sequence[TenantDay]) -> list[Usage]:
        found: list[Usage] = []
        for start in range(0, len(wanted), _AT_ONCE):
            for rows in await gather(*map(self._of, wanted[start : start + _AT_ONCE])):
                found += rows
        return found

    async def _of(self, whose: TenantDay) -> list[Usage]:
        try:
            return await self._run(self._store.of(whose))
        except redis.ResponseError:
            return []  # somebody else's value lies there
