"""Drafting: from a submission to the job that it asks for, not stored yet.

What jobs of a version with the same terms have in common is worked out once and kept for the next ones.
"""

from functools import lru_cache
from typing import Any

from api.catalog import Catalog
from api.id_seal import IdSeal
from api.terms import Terms
from headrace.bounds import Bounds
from headrace.jobs import NewJob
from headrace.settings import Settings
from headrace.submission import Mould
from registry.served import ServedVersion

#: Kinds of jobs that are remembered.
_MOST_KINDS = 256


class Drafting:
    """Of one tenant.

    Args:
        settings: of this process.
        catalog: knows what is released.
        seal: makes ids.
        tenant: whose jobs they are.
    """

    def __init__(self, *, settings: Settings, catalog: Catalog, seal: IdSeal, tenant: str) -> None:
        self._settings = settings
        self._catalog = catalog
        self._seal = seal
        self._tenant = tenant
        self._mould = lru_cache(_MOST_KINDS)(self._make_mould)

    async def new_ids(self, count: int) -> list[str]:
        """Ids for jobs that came together, in their order.

        Raises:
            RedisUnavailable: if the secret behind ids is not known yet and cannot be read.
        """
        return await self._seal.new_ids(self._tenant, count)

    async def draft(self, terms: Terms, value: Any, *, now_ms: int, job_id: str) -> NewJob:
        """The job that a submission asks for which came at `now_ms`, Unix milliseconds by Redis's clock.

        Raises:
            ModelNotFound, InvalidInput: saying what is wrong with it.
        """
        picked = self._catalog.picked(terms.model, job_id)
        version = picked or await self._catalog.version_for(terms.model, job_id)
        return self._drafted(version, terms, value, now_ms, job_id)

    def draft_at_once(self, terms: Terms, value: Any, *, now_ms: int, job_id: str) -> NewJob | None:
        """The same, None if its model must be looked for first. Raises as `draft`."""
        version = self._catalog.picked(terms.model, job_id)
        return None if version is None else self._drafted(version, terms, value, now_ms, job_id)

    def _drafted(self, version: ServedVersion, terms: Terms, value: Any, now_ms: int, job_id: str) -> NewJob:
        version.check(value)
        return self._mould(version, terms, now_ms if terms.names_times else 0).job(job_id, value)

    def _make_mould(self, version: ServedVersion, terms: Terms, now_ms: int) -> Mould:
        bounds = Bounds.of(self._settings, version.manifest.options)
        return Mould(terms.body, tenant=self._tenant, ref=version.ref, bounds=bounds, now_ms=now_ms)
