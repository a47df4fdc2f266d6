"""Drafting: from a submission to the job that it asks for, not stored yet.

What jobs of a version with the same terms have in common is worked out once and kept for the next ones.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

from api.catalog import Catalog
from api.terms import Terms
from headrace.errors import InvalidInput
from headrace.jobs import NewJob
from headrace.settings import Settings
from headrace.submission import Mould
from registry.served import ServedVersion

#: Kinds of jobs that are remembered.
_MOST_KINDS = 256


#: Takes an id and an input.
Maker: TypeAlias = Callable[[str, Any], NewJob]


class Drafting:
    """Of one tenant.

    Args:
        settings: of this process.
        catalog: knows what is released.
        tenant: whose jobs they are.
    """

    def __init__(self, *, settings: Settings, catalog: Catalog, tenant: str) -> None:
        self._settings = settings
        self._catalog = catalog
        self._tenant = tenant
        self._mould = lru_cache(_MOST_KINDS)(self._make_mould)

    async def draft(self, terms: Terms, value: Any, *, now_ms: int, job_id: str) -> NewJob:
        """The job that a submission asks for which came at `now_ms`, Unix milliseconds by Redis's clock.

        Raises:
            ModelNotFound, InvalidInput: saying what is wrong with it.
        """
        picked = self._catalog.picked(terms.model, job_id)
        version = picked or await self._catalog.version_for(terms.model, job_id)
        version.check(value)
        return self._mould(version, terms, now_ms if terms.names_times else 0).job(job_id, value)

    def maker(self, terms: Terms, *, now_ms: int) -> Maker | None:
        """What makes jobs of these terms as `draft` does; None if that depends on their ids, or there can be none."""
        version = self._catalog.sole(terms.model)
        if version is None:
            return None
        try:
            check, make = version.check, self._mould(version, terms, now_ms if terms.names_times else 0).job
        except InvalidInput:
            return None  # `draft` says so, after what is wrong with an input

        def checked(job_id: str, value: Any) -> NewJob:
            check(value)
            return make(job_id, value)

        return checked

    def _make_mould(self, version: ServedVersion, terms: Terms, now_ms: int) -> Mould:
        bounds = version.bounds(self._settings)
        return Mould(terms.body, tenant=self._tenant, ref=version.ref, bounds=bounds, now_ms=now_ms)
