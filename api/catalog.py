"""The released models as the API needs them: which version a job gets, and whether an input fits its schema.

Kept in memory and refreshed from the registry in the background, so that a submission never waits for the object store;
only a name that is not known makes it look again, so that a model can be used the moment it was pushed.
"""

import asyncio
import contextlib
import difflib
import logging
import time
import zlib
from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import jsonschema_rs

from api.reading import invalid_fields, pointer_to
from headrace.errors import FieldError, HeadraceError, InvalidModel, ModelNotFound
from headrace.model_ref import ModelRef
from registry.manifest import Manifest
from registry.registry import Registry
from registry.release import Release

log = logging.getLogger("headrace.api")

_FORCED_REFRESH_S = 1.0
_PROBLEMS_SHOWN = 20


class ServedVersion:
    """One released version with its compiled input schema."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.ref = manifest.ref
        try:
            self._validator = jsonschema_rs.validator_for(manifest.input_schema)
        except ValueError as error:
            raise InvalidModel(f"{self.ref} has an input schema that is none: {error}") from error

    def check(self, value: Any) -> None:
        """Check one input.

        Raises:
            InvalidInput: naming each field that does not fit.
        """
        if self._validator.is_valid(value):
            return
        errors = self._validator.iter_errors(value)
        fields = [field for error, _ in zip(errors, range(_PROBLEMS_SHOWN), strict=False) for field in _fields(error)]
        raise invalid_fields(fields)


def _fields(error: jsonschema_rs.ValidationError) -> list[FieldError]:
    path, kind = ("input", *error.instance_path), error.kind
    match kind.name:
        case "required":
            return [FieldError(pointer_to((*path, kind.value)), "is required", "schema.required")]
        case "additionalProperties" | "unevaluatedProperties":
            return [
                FieldError(pointer_to((*path, name)), "is not known to the model", "schema.unknown")
                for name in kind.value
            ]
        case name:
            return [FieldError(pointer_to(path), error.message, f"schema.{name}")]


class ServedModel:
    """A model with the versions that its newest release names."""

    def __init__(self, release: Release, versions: Mapping[int, ServedVersion]) -> None:
        self.release = release
        self.versions = versions
        routes = [(version, weight) for version, weight in sorted(release.routes.items()) if weight > 0]
        self._served = [versions[version] for version, _ in routes]
        self._limits = list(accumulate(weight for _, weight in routes))

    def pick(self, job_id: str) -> ServedVersion:
        """The version for a job: by weight, and always the same for the same id."""
        point = zlib.crc32(job_id.encode()) % self._limits[-1]
        return self._served[bisect_right(self._limits, point)]

    @property
    def current(self) -> ServedVersion:
        """The version that gets most jobs."""
        return self.versions[self.release.current.version]


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
        self._task: asyncio.Task[None] | None = None
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

    async def find(self, name: str) -> ServedModel:
        """A model by its name.

        Raises:
            ModelNotFound: naming what there is instead.
        """
        if name not in self._models:
            await self._look_again()
        if name not in self._models:
            raise self._unknown(name)
        return self._models[name]

    async def version_for(self, text: str, job_id: str) -> ServedVersion:
        """The version that a job gets which asks for `name` or `name@version`.

        Raises:
            ModelNotFound: naming what there is instead.
        """
        name, at, version = text.partition("@")
        model = await self.find(name)
        if not at:
            return model.pick(job_id)
        if version not in map(str, model.versions):
            await self._look_again()
            model = await self.find(name)
        for number, served in model.versions.items():
            if str(number) == version:
                return served
        released = ", ".join(f"{name}@{number}" for number in sorted(model.versions))
        raise _not_found(f"'{text}' is not released; released are {released}")

    def _unknown(self, name: str) -> ModelNotFound:
        known = sorted(self._models)
        near = difflib.get_close_matches(name, known, n=3) or known[:10]
        if not near:
            return _not_found(f"'{name[:80]}' is not known: no model is released; push one with `headrace models push`")
        return _not_found(f"'{name[:80]}' is not known; known are {', '.join(near)}")

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
            self._models, self.problem = await asyncio.to_thread(self._load)
        except Exception as error:  # noqa: BLE001 - object stores raise what they like; old knowledge is better than none
            self.problem = f"the registry cannot be read: {error}"
        if self.problem:
            log.warning("%s", self.problem)

    def _load(self) -> tuple[dict[str, ServedModel], str]:
        models, problems = {}, []
        for name, release in self._registry.releases().items():
            try:
                models[name] = self._serve(release)
            except HeadraceError as error:
                problems.append(f"{name} is not served: {error}")
        return models, "; ".join(problems)

    def _serve(self, release: Release) -> ServedModel:
        known = self._models.get(release.model)
        if known is not None and known.release == release:
            return known
        versions = dict(known.versions) if known is not None else {}
        for version in release.routes:
            if version not in versions:
                ref = ModelRef(release.model, version)
                versions[version] = ServedVersion(self._registry.manifest(ref))
        return ServedModel(release, {version: versions[version] for version in release.routes})


def _not_found(problem: str) -> ModelNotFound:
    return ModelNotFound(f"/model: {problem}", fields=[FieldError("/model", problem, "model_not_found")])
