"""Usage: what each tenant had on each day, by model version and tier, and how that is written down. Pure."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

from headrace.groups import is_group, split_group
from headrace.model_ref import ModelRef
from headrace.tiers import Tier

_EPOCH = date(1970, 1, 1)
#: Milliseconds of a day; days are those of UTC.
DAY_MS = 86_400_000

#: What the scripts count, by their names for it, and what it is called outside.
COUNTS: Mapping[str, str] = MappingProxyType(
    {
        "accepted": "accepted",
        "succeeded": "succeeded",
        "failed": "failed",
        "canceled": "canceled",
        "expired": "expired",
        "gpu_us": "gpu_ms",
        "in_bytes": "input_bytes",
        "out_bytes": "output_bytes",
    }
)
#: Columns of a table.
COLUMNS = ("tenant", "day", "model", "version", "tier", *COUNTS.values())


class TenantDay(NamedTuple):
    """A tenant and a day, counted from 1970."""

    tenant: str
    day: int

    @classmethod
    def parse(cls, text: str) -> "TenantDay | None":
        """Read what the scripts write; None if it is something else."""
        tenant, _, day = text.rpartition(":")
        return cls(tenant, int(day)) if tenant and day.isdecimal() and len(day) < 7 else None

    @property
    def date(self) -> date:
        """The day in the calendar."""
        return _EPOCH + timedelta(days=self.day)


def day_of(moment: date) -> int:
    """A day of the calendar, counted from 1970."""
    return (moment - _EPOCH).days


def today(now_ms: int) -> date:
    """The day in UTC."""
    return datetime.fromtimestamp(now_ms / 1000, UTC).date()


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a tenant had on a day of one model version in one tier."""

    tenant: str
    day: date
    ref: ModelRef
    tier: Tier
    #: By the names of `COUNTS`; what is not there is 0.
    counts: Mapping[str, int]

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "tenant": self.tenant,
            "day": self.day.isoformat(),
            "model": {"name": self.ref.name, "version": self.ref.version},
            "tier": self.tier,
            **{shown: self.counts.get(name, 0) for name, shown in COUNTS.items()},
            "gpu_ms": self.counts.get("gpu_us", 0) / 1000,
        }


def usage_of(whose: TenantDay, fields: Mapping[str, str]) -> list[Usage]:
    """What the scripts counted of one tenant on one day, by model and tier; what is none of theirs is passed over."""
    groups: dict[str, dict[str, int]] = {}
    for field, value in fields.items():
        group, _, name = field.rpartition(":")
        if name in COUNTS and is_group(group) and value.isdecimal():
            groups.setdefault(group, {})[name] = int(value)
    return [_usage(whose, group, groups[group]) for group in sorted(groups)]


def _usage(whose: TenantDay, group: str, counts: Mapping[str, int]) -> Usage:
    ref, tier = split_group(group)
    return Usage(tenant=whose.tenant, day=whose.date, ref=ref, tier=tier, counts=counts)


def rows_of(documents: Iterable[Mapping[str, Any]]) -> Iterator[list[Any]]:
    """Documents of `Usage` as rows of a table with `COLUMNS`."""
    for one in documents:
        model = one["model"]
        flat = {**one, "model": model["name"], "version": model["version"]}
        yield [flat[column] for column in COLUMNS]


def as_csv(documents: Iterable[Mapping[str, Any]]) -> str:
    """Documents of `Usage` as CSV (RFC 4180), with a line of names first."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([COLUMNS, *rows_of(documents)])
    return text.getvalue()
