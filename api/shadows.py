"""Shadows: sends copies of jobs to versions that are only watched. No caller waits for it, none can fail by it."""

import asyncio
import logging
from collections.abc import Sequence

from api.catalog import Catalog
from api.id_seal import IdSeal
from headrace.errors import HeadraceError
from headrace.jobs import NewJob
from headrace.model_ref import ModelRef
from headrace.mux import Mux
from headrace.shadow import SHADOW_TENANT, shadow_of
from headrace.store import JobStore
from headrace.store_submissions import SubmitOutcome, Submitted

log = logging.getLogger("headrace.api")

#: So many requests' copies may be on their way; those of others are left out.
_MOST_UNDER_WAY = 256


class Shadows:
    """One per process.

    Args:
        catalog: knows which versions shadow others.
        cap: copies that may wait per version.
    """

    def __init__(self, *, catalog: Catalog, store: JobStore, mux: Mux, seal: IdSeal, cap: int) -> None:
        self._catalog = catalog
        self._store = store
        self._mux = mux
        self._seal = seal
        self._cap = cap
        self._under_way: set[asyncio.Task[None]] = set()

    def copy(self, jobs: Sequence[NewJob], submitted: Sequence[Submitted]) -> None:
        """Send copies of those jobs that are new and have shadows; returns at once."""
        if not self._catalog.has_shadows:
            return
        wanted = [
            (job, version.ref, answer.now_ms)
            for job, answer in zip(jobs, submitted, strict=True)
            if (model := self._catalog.known(job.ref.name)) is not None and model.release.shadows
            if answer.outcome is SubmitOutcome.ACCEPTED
            for version in model.shadows_of(job.id)
        ]
        if wanted and len(self._under_way) < _MOST_UNDER_WAY:
            task = asyncio.create_task(self._send(wanted))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def close(self) -> None:
        """Send what is on its way."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _send(self, wanted: Sequence[tuple[NewJob, ModelRef, int]]) -> None:
        try:
            copies = [
                shadow_of(job, job_id=await self._seal.new_id(SHADOW_TENANT), ref=ref, now_ms=now_ms)
                for job, ref, now_ms in wanted
            ]
            await self._mux.run(self._store.submit_many(copies, cap=self._cap, idempotency_ttl_s=1))
        except HeadraceError as error:
            log.warning("%d copies for shadows were not stored: %s", len(wanted), error)
        except Exception:
            log.exception("copies for shadows were not stored")
