"""Manifest: what one version of a model is. Written once, never changed; its presence is the version's existence."""

import hashlib
from pathlib import PurePosixPath
from typing import Annotated, Any

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from headrace.model_options import ModelOptions
from headrace.model_ref import NAME_PATTERN, ModelRef


def contained(path: str) -> str:
    """Let a path through that stays inside the folder it is put in.

    Raises:
        ValueError: if it is absolute, climbs, or is spelled in more than one way.
    """
    pure = PurePosixPath(path)
    plain = path == str(pure) and "\\" not in path and "\0" not in path
    if not plain or pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise ValueError(f"'{path}' is not a plain relative path")
    return path


#: Where a file lies in its version's folder.
ContainedPath = Annotated[str, AfterValidator(contained)]


class FileEntry(BaseModel):
    """One file of a version; `sha256` is also its address in the object store."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: ContainedPath
    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(BaseModel):
    """One version of a model. `entry` is `model.py:Embedder`; `created` is RFC 3339."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(pattern=NAME_PATTERN)
    version: int = Field(ge=1)
    entry: str
    files: tuple[FileEntry, ...]
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    max_batch: int = Field(ge=1)
    #: True if its class has the hook `seed`: its jobs may bring one. That follows from files: no part of its digest.
    takes_seed: bool = False
    options: ModelOptions = ModelOptions()
    #: What runs it: `python`, or the runtime that its class builds on.
    runtime: str = "python"
    #: Distributions that its code imports, as `transformers>=5`.
    requires: tuple[str, ...] = ()
    #: Where it came from: `by`, `commit`, `imported`, …; no part of its digest.
    provenance: dict[str, str] = {}
    #: True if who pushed it vouches for files that are code: pickles, compiled programs.
    trusted: bool = False
    examples: list[Any]
    description: str
    created: str

    @property
    def ref(self) -> ModelRef:
        """Name and version."""
        return ModelRef(self.name, self.version)

    @property
    def digest(self) -> str:
        """SHA-256 over what it is, not when, by whom and as which version: equal content, equal digest."""
        content = self.model_dump(mode="json", exclude={"version", "created", "provenance", "takes_seed"})
        return hashlib.sha256(canonical_json(content)).hexdigest()

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files)


def canonical_json(value: object) -> bytes:
    """Spell a value in one way only: sorted keys, no spaces, UTF-8."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
