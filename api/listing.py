"""A tenant's jobs, the newest first, page by page, and which of them are meant."""

import base64
import binascii
import math
from collections.abc import Mapping
from typing import NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict

from api.tenant_jobs import Seen, TenantJobs
from headrace.api_keys import TenantName
from headrace.errors import FieldError, InvalidInput
from headrace.jobs import JobStatus
from headrace.moments import MomentField
from headrace.store_views import Browsed
from headrace.tiers import Tier

#: Jobs that one script reads, and that one page looks at when few of them are meant.
_CHUNK, _MOST_LOOKED_AT = 200, 2000
_METADATA = "metadata."


class JobFilter(BaseModel):
    """Which jobs are meant: those that all of it fits; all of them where it says nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: JobStatus | None = None
    model: str | None = None
    tier: Tier | None = None
    created_after: MomentField | None = None
    created_before: MomentField | None = None
    #: Whose they are, the caller's own if it says nothing: seen to before any is looked for.
    tenant: TenantName | None = None
    metadata: dict[str, str] = {}

    def takes(self, found: Browsed) -> bool:
        """Tell whether a job that is still kept is meant, but for its time."""
        job = found.job
        is_meant = job is not None and (
            self.status in (None, job.status)
            and self.tier in (None, job.tier)
            and self.model in (None, job.ref.name, str(job.ref))
        )
        if not is_meant or not self.metadata:
            return is_meant
        notes = orjson.loads(found.metadata or b"{}")
        return all(notes.get(name) == value for name, value in self.metadata.items())


class Cursor(NamedTuple):
    """Where a list goes on."""

    score: float
    job_id: str = ""

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(f"{self.score:.3f} {self.job_id}".encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read what a page before has given.

        Raises:
            InvalidInput: if none has.
        """
        try:
            plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
            score, job_id = plain.split(" ")
            if not math.isfinite(at := float(score)):
                raise ValueError(f"{score} is no time")
            return cls(at, job_id)
        except (ValueError, binascii.Error) as error:
            problem = "is not what an earlier page gave as next"
            raise InvalidInput(
                f"cursor {problem}", fields=[FieldError("/query/cursor", problem, "wrong_cursor")]
            ) from error


class Found(NamedTuple):
    """Jobs that were looked for, newest first; `next` goes on after them, None at the end."""

    rows: list[Browsed]
    next: Cursor | None


class Page(NamedTuple):
    """The same with all there is to say of them."""

    jobs: list[Seen]
    next: Cursor | None


def read_metadata(query: Mapping[str, str]) -> dict[str, str]:
    """The pairs `metadata.name=value` of a query."""
    return {name.removeprefix(_METADATA): query[name] for name in query if name.startswith(_METADATA)}


class Listing:
    """The jobs of one tenant.

    Args:
        jobs: as they are looked at.
    """

    def __init__(self, jobs: TenantJobs) -> None:
        self._jobs = jobs

    async def page(self, wanted: JobFilter, *, limit: int, cursor: Cursor | None = None) -> Page:
        """The newest jobs that are meant, after `cursor` if that is given; a page may be short before the end."""
        found = await self.find(wanted, limit=limit, cursor=cursor)
        return Page(await self._jobs.describe_all(found.rows), found.next)

    async def find(self, wanted: JobFilter, *, limit: int, cursor: Cursor | None = None) -> Found:
        """Which they are."""
        now_ms = await self._jobs.now_ms()
        oldest_ms = wanted.created_after.at(now_ms) if wanted.created_after else 0
        newest_ms = wanted.created_before.at(now_ms) if wanted.created_before else float("inf")
        cursor, is_over, looked_at = cursor or Cursor(newest_ms), False, 0
        found: list[Browsed] = []
        while not is_over and len(found) < limit and looked_at < _MOST_LOOKED_AT:
            chunk = await self._jobs.browse(cursor.score, cursor.job_id, limit=_CHUNK)
            looked_at += len(chunk)
            is_over = len(chunk) < _CHUNK
            for row in chunk:
                if row.score < oldest_ms:
                    is_over = True
                    break
                cursor = Cursor(row.score, row.job_id)
                if wanted.takes(row):
                    found.append(row)
                    if len(found) == limit:
                        is_over = is_over and row is chunk[-1]
                        break
        return Found(found, None if is_over else cursor)
