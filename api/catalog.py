"""The released models as the API needs them, kept in memory.

Refreshed from the registry in the background, so that a submission never waits for the object store; only a name that
is not known makes it look again, so that a model can be used the moment it was pushed.
"""

import asyncio
import contextlib
import logging
import re
import time

from headrace.model_ref import ModelRef
from registry.manifest import Manifest
from registry.published import Publications, read_published
from registry.registry import Registry
from registry.served import ServedModel, ServedVersion, read_served, unknown_model, unknown_version

log = logging.getLogger("headrace.api")

_FORCED_REFRESH_S = 1.0
_NUMBER = re.compile("[1-9][0-9]{0,7}")


class Catalog:
    """Knows what is released.

    Args:
        registry: where models come from; its methods block, so they run in a thread.
        poll_s: how often it is looked at.
    """

    def __init__(self, *, registry: Registry, poll_s: float) -> None:
        self._registry = registry
        self._poll_s = poll_s
        self._models: dict[str, ServedModel] = {}
        self._looked_at = float("-inf")
        self._forced_at = float("-inf")
        self._lock = asyncio.Lock()
        #: What callers ask the object store for takes one thread, however many ask.
        self._reading = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        #: True if any version gets copies of the jobs of another.
        self.has_shadows = False
        #: Why the last look failed; empty when it did not.
        self.problem = "the registry was not read yet"

    async def start(self) -> None:
        """Look once, then keep looking in the background."""
        await self.refresh()
        self._task = asyncio.create_task(self._keep_fresh())

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def models(self) -> list[ServedModel]:
        """All released models by name."""
        return [self._models[name] for name in sorted(self._models)]

    def known(self, name: str) -> ServedModel | None:
        """A model as it was when this process last looked."""
        return self._models.get(name)

    def picked(self, name: str, job_id: str) -> ServedVersion | None:
        """The version that a job gets which asks for just this name; None if it is no name that is known."""
        model = self._models.get(name)
        return None if model is None else model.pick(job_id)

    def sole(self, name: str) -> ServedVersion | None:
        """The version that all jobs get which ask for just this name; None if it depends on their ids, or on a look."""
        model = self._models.get(name)
        return None if model is None else model.sole

    async def find(self, name: str) -> ServedModel:
        """A model by its name.

        Raises:
            ModelNotFound: naming what there is instead.
        """
        if name not in self._models:
            await self._look_again()
        if name not in self._models:
            raise unknown_model(name, self._models)
        return self._models[name]

    async def version_for(self, text: str, job_id: str) -> ServedVersion:
        """The version that a job gets which asks for `name` or `name@version`.

        Raises:
            ModelNotFound: naming what there is instead.
        """
        name, at, version = text.partition("@")
        model = self._models.get(name) or await self.find(name)
        if not at:
            return model.pick(job_id)
        if model.find(version) is None:
            await self._look_again()
            model = await self.find(name)
        if (served := model.find(version)) is None:
            raise unknown_version(text, model)
        return served

    async def versions(self, model: ServedModel, *, before: int | None, limit: int) -> Publications:
        """Versions of a model, released or not, the newest first: at most so many, below number `before`.

        Raises:
            StoreUnavailable: if the object store does not answer.
        """
        async with self._reading:
            return await asyncio.to_thread(
                read_published, self._registry, model.release.model, before=before, limit=limit
            )

    async def manifest(self, name: str, version: str | None) -> Manifest:
        """What a version is, by its number or an alias; the one that gets most jobs if none is named.

        Raises:
            ModelNotFound: if there is no such model or version.
            StoreUnavailable: if it is not released, and the object store does not answer.
        """
        model = await self.find(name)
        if version is None:
            return model.current.manifest
        if (served := model.find(version)) is not None:
            return served.manifest
        if not _NUMBER.fullmatch(version):
            raise unknown_version(f"{name}@{version}", model)
        async with self._reading:
            return await asyncio.to_thread(self._registry.manifest, ModelRef(name, int(version)))

    # --- refreshing ------------------------------------------------------------------------------------------

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            await self.refresh()

    async def _look_again(self) -> None:
        """Look at the registry as it is now; a flood of unknown names makes no more than one look a second."""
        asked_at = time.monotonic()
        async with self._lock:
            if self._looked_at < asked_at:
                await asyncio.sleep(max(0.0, self._forced_at + _FORCED_REFRESH_S - asked_at))
                self._forced_at = time.monotonic()
                await self._refresh()

    async def refresh(self) -> None:
        """Look at the registry; what was known stays known if that fails."""
        async with self._lock:
            await self._refresh()

    async def _refresh(self) -> None:
        self._looked_at = time.monotonic()
        try:
            self._models, self.problem = await asyncio.to_thread(read_served, self._registry, self._models)
            self.has_shadows = any(model.release.shadows for model in self._models.values())
        except Exception as error:  # noqa: BLE001 - object stores raise what they like; old knowledge is better than none
            self.problem = f"the registry cannot be read: {error}"
        if self.problem:
            log.warning("%s", self.problem)
