"""Drafting: from the body of a submission to the job that it asks for, not stored yet.

What jobs of a version with the same options have in common is worked out once and kept for the next ones.
"""

from functools import lru_cache

from api.catalog import Catalog
from api.id_seal import IdSeal
from headrace.bounds import Bounds
from headrace.jobs import NewJob
from headrace.settings import Settings
from headrace.submission import Options, SubmitBody, blank_job, filled
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
        self._blank = lru_cache(_MOST_KINDS)(self._make_blank)

    async def new_ids(self, count: int) -> list[str]:
        """Ids for jobs that came together, in their order.

        Raises:
            RedisUnavailable: if the secret behind ids is not known yet and cannot be read.
        """
        return await self._seal.new_ids(self._tenant, count)

    async def draft(self, body: SubmitBody, *, now_ms: int, job_id: str) -> NewJob:
        """The job that a body asks for which came at `now_ms`, Unix milliseconds by Redis's clock.

        Raises:
            ModelNotFound, InvalidInput: saying what is wrong with it.
        """
        version = self._catalog.picked(body.model, job_id) or await self._catalog.version_for(body.model, job_id)
        version.check(body.input)
        options = body.options
        return filled(self._blank(version, options, now_ms if options.names_times else 0), body, job_id=job_id)

    def _make_blank(self, version: ServedVersion, options: Options, now_ms: int) -> NewJob:
        bounds = Bounds.of(self._settings, version.manifest.options)
        return blank_job(options, tenant=self._tenant, ref=version.ref, bounds=bounds, now_ms=now_ms)
