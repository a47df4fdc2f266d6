"""Dead letters: jobs that were given up. They can be looked at, with their input, and sent again as new jobs."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field

from api.desk import JobDesk
from api.resubmission import send_again
from api.services import Services
from api.tenant_jobs import Seen
from headrace.errors import JobExpired, NotADeadLetter
from headrace.jobs import Cause, Job, JobStatus
from headrace.reading import WHOLE
from headrace.store_views import DeadLetter

#: No key of a caller begins like this, so sending a dead letter twice makes one job, and nothing else gets in its way.
_KEY = "\0redrive:"
_CHUNK = 200


class DeadLetterFilter(BaseModel):
    """Which dead letters are meant; all of them where it says nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(None, description="`name` for all its versions, or `name@3`.")
    cause: Cause | None = Field(None, description="Why they were given up.")
    limit: Annotated[int, Field(strict=True, ge=1, le=1000), WHOLE] = Field(
        100, description="How many at most, the oldest of the newest first."
    )

    def takes(self, job: Job) -> bool:
        """Tell whether a job is meant."""
        model_fits = self.model in (None, job.ref.name, str(job.ref))
        return model_fits and self.cause in (None, job.cause)


class Page(NamedTuple):
    """Some dead letters, newest first; `next_us` goes on before that microsecond, None at the end."""

    letters: list[Seen]
    next_us: int | None


class Redriven(NamedTuple):
    """A dead letter that was sent again."""

    letter: Job
    job: Seen


class DeadLetters:
    """The dead letters of one tenant, whose desk it is."""

    def __init__(self, *, services: Services, desk: JobDesk) -> None:
        self._services = services
        self._store = services.store
        self._run = services.mux.run
        self._desk = desk
        self._tenant = desk.tenant

    async def page(self, wanted: DeadLetterFilter, *, before_us: int | None = None) -> Page:
        """The newest dead letters that are meant, from before `before_us` if that is given."""
        found: list[tuple[Job, int]] = []
        while len(found) <= wanted.limit:
            letters = await self._run(self._store.dead_letters(self._tenant, limit=_CHUNK, before_us=before_us))
            found += [(job, ended_us) for job, ended_us in await self._read(letters) if wanted.takes(job)]
            if len(letters) < _CHUNK:
                break
            before_us = letters[-1].ended_us
        shown, is_last = found[: wanted.limit], len(found) <= wanted.limit
        seen = await asyncio.gather(*(self._desk.jobs.describe(job) for job, _ in shown))
        return Page(list(seen), None if is_last else shown[-1][1])

    async def _read(self, letters: Sequence[DeadLetter]) -> list[tuple[Job, int]]:
        """The jobs that failed; those that are no longer kept are taken off the list."""
        jobs = await asyncio.gather(*(self._run(self._store.read(letter.member)) for letter in letters))
        gone = [letter.member for letter, job in zip(letters, jobs, strict=True) if job is None]
        if gone:
            await self._run(self._store.forget_dead_letters(self._tenant, gone))
        pairs = zip(jobs, letters, strict=True)
        return [(job, at.ended_us) for job, at in pairs if job is not None and job.status is JobStatus.FAILED]

    async def inspect(self, job_id: str) -> dict[str, Any]:
        """A dead letter's record with its input.

        Raises:
            JobNotFound, JobExpired: if there is no record.
            NotADeadLetter: if it did not fail.
        """
        seen = await self._find(job_id)
        document = seen.document()
        raw = await self._run(self._store.input(seen.job.member))
        document["input"] = None if raw is None else orjson.Fragment(raw)
        return document

    async def redrive(self, job_id: str) -> Redriven:
        """Send a dead letter again as a new job with the same input, version and tier; a second time it is that job.

        Raises:
            JobNotFound, JobExpired: if there is no record, or no input any more.
            NotADeadLetter: if it did not fail.
            QueueFull: if no more may wait, or it would wait too long.
        """
        job = (await self._find(job_id)).job
        seen = await send_again(self._services, self._desk, job, key=f"{_KEY}{job_id}")
        await self._run(self._store.forget_dead_letters(self._tenant, [job.member]))
        return Redriven(job, seen)

    async def redrive_all(self, wanted: DeadLetterFilter) -> list[Redriven]:
        """Send again what is meant, the oldest first, as they were accepted; what can no longer be is forgotten.

        Raises:
            QueueFull: if no more may wait, or it would wait too long.
        """
        page, redriven = await self.page(wanted), []
        for seen in reversed(page.letters):
            try:
                redriven.append(await self.redrive(seen.job.id))
            except JobExpired:
                await self._run(self._store.forget_dead_letters(self._tenant, [seen.job.member]))
        return redriven

    async def _find(self, job_id: str) -> Seen:
        seen = await self._desk.jobs.see(job_id)
        if seen.job.status is not JobStatus.FAILED:
            raise NotADeadLetter(f"job {job_id} is {seen.job.status}; only a failed job can be sent again")
        return seen
