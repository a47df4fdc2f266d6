"""Description: a folder with a model becomes a manifest."""

import hashlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from pydantic import TypeAdapter, ValidationError

from headrace.errors import InvalidModel
from headrace.model import Model
from headrace.model_ref import NAME_PATTERN, valid_name
from registry.file_check import Content, check_files
from registry.manifest import FileEntry, Manifest, canonical_json, contained
from registry.requirements import requirements_of
from registry.signature import Signature, signature_of, takes_seed
from registry.source import find_model


class SourceFile(NamedTuple):
    """A file as the version will have it, and where it is now."""

    entry: FileEntry
    source: Path


def read_files(folder: Path, extra: Mapping[str, Path] | None = None) -> tuple[SourceFile, ...]:
    """Read and hash a folder's files and the `extra` files or folders that join them under other names.

    Hidden files and Python's bytecode stay out.

    Raises:
        InvalidModel: if a file cannot be read, or two would have one name.
    """
    return tuple(_read(path, source) for path, source in _sources(folder, extra or {}))


def describe(
    folder: Path, files: Sequence[SourceFile], *, name: str, entry: str | None = None, trusted: bool = False
) -> Manifest:
    """Import a folder's source and make the manifest of its `files`; version and time are still to be set.

    Raises:
        InvalidModel: if the name, a file, the source, a hint or an example cannot be used.
    """
    check_files((Content(file.entry.path, file.source) for file in files), trusted=trusted)
    if not valid_name(name):
        raise InvalidModel(f"'{name}' cannot be a model's name: it must match {NAME_PATTERN}; set it with --name")
    entries = tuple(file.entry for file in files)
    digest = hashlib.sha256(canonical_json([file.model_dump() for file in entries])).hexdigest()
    full_entry, model = find_model(folder, entry=entry, digest=digest)
    signature = signature_of(model)
    return Manifest(
        name=name,
        version=1,
        entry=full_entry,
        files=entries,
        input_schema=signature.input_schema(),
        output_schema=signature.output_schema(),
        max_batch=model.max_batch,
        takes_seed=takes_seed(model),
        options=model.options,
        runtime=model.runtime,
        requires=requirements_of(model),
        trusted=trusted,
        examples=_examples(model, signature),
        description=_summary(model),
        created="",
    )


def _sources(folder: Path, extra: Mapping[str, Path]) -> list[tuple[str, Path]]:
    if not folder.is_dir():
        raise InvalidModel(f"{folder} is no folder")
    found = dict(_tree("", folder))
    for name, source in extra.items():
        added = dict(_tree(_contained(name), source))
        if not added:
            raise InvalidModel(f"there is nothing at {source}, which is to be added as '{name}'")
        if twice := found.keys() & added.keys():
            raise InvalidModel(f"'{min(twice)}' is in {folder} and would be added from {source} too")
        found |= added
    return sorted(found.items())


def _tree(prefix: str, source: Path) -> Iterator[tuple[str, Path]]:
    """Files at or below `source`, without hidden ones and Python's bytecode."""
    if source.is_file():
        yield prefix, source
    for path in source.rglob("*") if source.is_dir() else ():
        parts = path.relative_to(source).parts
        if any(part.startswith(".") or part == "__pycache__" for part in parts):
            continue
        if path.is_symlink():
            raise InvalidModel(f"{path} is a link, which may lead out of the folder; put the file itself there")
        if path.is_file():
            yield _contained("/".join((prefix, *parts) if prefix else parts)), path


def _contained(path: str) -> str:
    try:
        return contained(path)
    except ValueError as error:
        raise InvalidModel(f"{error}; a file of a version lies inside its folder") from error


def _read(path: str, source: Path) -> SourceFile:
    try:
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
    except OSError as error:
        raise InvalidModel(f"{source} cannot be read: {error.strerror}") from error
    return SourceFile(FileEntry(path=path, size_bytes=size, sha256=digest), source)


def _examples(model: type[Model], signature: Signature) -> list[Any]:
    if signature.input is bytes:
        return [_parsed(model, example) for example in model.examples]
    adapter = TypeAdapter(signature.input)
    try:
        return [adapter.dump_python(adapter.validate_python(example), mode="json") for example in model.examples]
    except ValidationError as error:
        raise InvalidModel(f"{model.__name__}.examples: one does not fit the input's hint: {error}") from error


def _parsed(model: type[Model], example: bytes) -> Any:
    try:
        return orjson.loads(example)
    except orjson.JSONDecodeError as error:
        raise InvalidModel(f"{model.__name__}.examples: {example!r} is not JSON: {error}") from error


def _summary(model: type[Model]) -> str:
    text = inspect.cleandoc(model.__doc__ or "")
    return " ".join(text.partition("\n\n")[0].split())
