"""Released versions as a submission needs them: which one a job gets, and whether an input fits its schema."""

import difflib
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import Any

import jsonschema_rs

from headrace.bounds import Bounds
from headrace.errors import FieldError, HeadraceError, InvalidModel, ModelNotFound
from headrace.model_ref import ModelRef
from headrace.reading import invalid_fields, pointer_to
from headrace.settings import Settings
from registry.manifest import Manifest
from registry.registry import Registry
from registry.release import Release
from registry.traffic import WHOLE

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

    def bounds(self, settings: Settings) -> Bounds:
        """What its jobs may ask for in an installation."""
        return Bounds.of(settings, self.manifest.options, takes_seed=self.manifest.takes_seed)

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
        #: The version that all jobs get; None if they are shared out.
        self.sole = self._served[0] if len(self._served) == 1 else None

    def pick(self, job_id: str) -> ServedVersion:
        """The version for a job: by weight, and always the same for the same id."""
        if self.sole is not None:
            return self.sole
        point = zlib.crc32(job_id.encode()) % self._limits[-1]
        return self._served[bisect_right(self._limits, point)]

    def shadows_of(self, job_id: str) -> list[ServedVersion]:
        """The versions that get a copy of a job: always the same for the same id, whatever version it has itself."""
        point = zlib.crc32(f"shadow/{job_id}".encode()) % WHOLE
        return [self.versions[version] for version, percent in self.release.shadows.items() if point < percent]

    def find(self, version: str) -> ServedVersion | None:
        """A released version by its number or alias as callers write it."""
        if (meant := self.release.aliases.get(version)) is not None:
            return self.versions.get(meant)
        return next((served for number, served in self.versions.items() if str(number) == version), None)

    @property
    def current(self) -> ServedVersion:
        """The version that gets most jobs."""
        return self.versions[self.release.current.version]


def read_served(registry: Registry, known: Mapping[str, ServedModel]) -> tuple[dict[str, ServedModel], str]:
    """Every released model by its name, and what is wrong with those that cannot be served; blocks.

    Args:
        registry: where models come from.
        known: what an earlier reading gave; it is not made again.
    """
    models, problems = {}, []
    for name, release in registry.releases().items():
        try:
            models[name] = _serve(registry, release, known.get(name))
        except HeadraceError as error:
            problems.append(f"{name} is not served: {error}")
    return models, "; ".join(problems)


def _serve(registry: Registry, release: Release, known: ServedModel | None) -> ServedModel:
    if known is not None and known.release == release:
        return known
    versions = dict(known.versions) if known is not None else {}
    for version in release.routes:
        if version not in versions:
            versions[version] = ServedVersion(registry.manifest(ModelRef(release.model, version)))
    return ServedModel(release, {version: versions[version] for version in release.routes})


def unknown_model(name: str, known: Iterable[str]) -> ModelNotFound:
    """The error for a name that no released model has."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3) or known[:10]
    if not near:
        return _not_found(f"'{name[:80]}' is not known: no model is released; push one with `headrace models push`")
    return _not_found(f"'{name[:80]}' is not known; known are {', '.join(near)}")


def unknown_version(text: str, model: ServedModel) -> ModelNotFound:
    """The error for a version that is not released."""
    names = [*map(str, sorted(model.versions)), *sorted(model.release.aliases)]
    released = ", ".join(f"{model.release.model}@{name}" for name in names)
    return _not_found(f"'{text[:80]}' is not released; released are {released}")


def _not_found(problem: str) -> ModelNotFound:
    return ModelNotFound(f"/model: {problem}", fields=[FieldError("/model", problem, "model_not_found")])
