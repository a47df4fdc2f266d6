"""Many jobs called off at once, once it was said how many they may be: those of a tenant that a filter means."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, field_validator

from api.desk import JobDesk
from api.listing import Cursor, JobFilter, Listing
from headrace.errors import Conflict
from headrace.jobs import JobStatus
from headrace.store_views import Browsed

_OPEN = (JobStatus.QUEUED, JobStatus.RUNNING)
#: Jobs that one request calls off at most, and that are called off together.
MOST, _CHUNK = 10_000, 200
#: Pages of the list that one request looks at; each has up to 2,000 jobs.
_MOST_PAGES = 10


class CancelFilter(JobFilter):
    """Which open jobs are meant, and how many of them may be called off."""

    dry_run: Literal["true", "false"] = "false"
    confirm: Annotated[int, Field(ge=0, le=MOST)] | None = None

    @field_validator("status")
    @classmethod
    def _is_open(cls, status: JobStatus | None) -> JobStatus | None:
        if status not in (None, *_OPEN):
            raise ValueError("must be queued or running: what has ended cannot be canceled")
        return status

    def takes(self, found: Browsed) -> bool:
        """Tell whether a job is meant and can still be called off."""
        is_open = found.job is not None and found.job.status in _OPEN
        return is_open and super().takes(found)


class CalledOff(NamedTuple):
    """How many jobs were meant, and what became of them; all 0 but the first if nothing was to be done."""

    matched: int
    canceled: int
    canceling: int
    #: They had ended, or were gone, before they could be called off.
    ended: int
    #: Where to go on if not all jobs were looked at.
    next: Cursor | None


def is_confirmed(meant: int, *, confirm: int | None, dry_run: bool) -> bool:
    """Tell whether so many jobs may be called off; False if they are only to be counted.

    Raises:
        Conflict: if they are more than was said.
    """
    if dry_run or confirm is None:
        return False
    if meant > confirm:
        said = f"{meant} jobs are meant, and {confirm} were confirmed"
        raise Conflict(f"{said}; none was canceled: look again with dry_run=true, then confirm as many")
    return True


async def call_off(desk: JobDesk, members: Sequence[str]) -> Counter[JobStatus | None]:
    """Call jobs off, some at a time; how many are how then."""
    became: Counter[JobStatus | None] = Counter()
    for first in range(0, len(members), _CHUNK):
        became.update(await desk.cancel_many(members[first : first + _CHUNK]))
    return became


class CallingOff:
    """Calls off jobs of one tenant.

    Args:
        desk: of the tenant.
    """

    def __init__(self, desk: JobDesk) -> None:
        self._desk = desk
        self._listing = Listing(desk.jobs)

    async def call_off(self, wanted: CancelFilter, *, cursor: Cursor | None = None) -> CalledOff:
        """Call off what is meant; in a dry run, or if it was not said how many jobs it may be, only count it.

        Raises:
            Conflict: if it is more jobs than that; none was called off then.
        """
        members, cursor = await self._meant(wanted, cursor)
        if not is_confirmed(len(members), confirm=wanted.confirm, dry_run=wanted.dry_run == "true"):
            return CalledOff(len(members), 0, 0, 0, cursor)
        became = await call_off(self._desk, members)
        canceled, canceling = became[JobStatus.CANCELED], became[JobStatus.CANCELING]
        return CalledOff(len(members), canceled, canceling, len(members) - canceled - canceling, cursor)

    async def _meant(self, wanted: CancelFilter, cursor: Cursor | None) -> tuple[list[str], Cursor | None]:
        members: list[str] = []
        for _ in range(_MOST_PAGES):
            found = await self._listing.find(wanted, limit=MOST - len(members), cursor=cursor)
            members += [row.member for row in found.rows]
            cursor = found.next
            if cursor is None or len(members) == MOST:
                break
        return members, cursor
