"""Tryout: loads a model as a worker would, from a folder or from the registry, to look at it before it serves."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from headrace.errors import HeadraceError, InvalidModel, ModelNotFound
from headrace.model_ref import ModelRef
from headrace.settings import get_settings
from registry.description import SourceFile, describe, read_files
from registry.manifest import Manifest
from registry.registry import Registry
from registry.source import in_one_line
from workers.runtime import Runtime


@contextmanager
def from_folder(folder: Path, *, entry: str | None, extra: Mapping[str, Path], device: str) -> Iterator[Runtime]:
    """A folder's model, laid out, loaded and warmed up; its files are there while the context is open.

    Raises:
        InvalidModel: if it cannot be published or loaded, or has no examples.
    """
    files = read_files(folder, extra)
    manifest = describe(folder, files, name="tried", entry=entry)
    with tempfile.TemporaryDirectory() as staged:
        yield _load(_stage(files, Path(staged)), manifest, device)


@contextmanager
def from_registry(name: str, *, device: str) -> Iterator[Runtime]:
    """A published version, `name@version`, or the released one of `name`.

    Raises:
        ModelNotFound: if there is none.
        InvalidModel: if it cannot be loaded, or has no examples.
    """
    settings = get_settings()
    registry = Registry(url=settings.registry_location, signers=settings.signers)
    ref = ModelRef.parse(name) if "@" in name else _released(registry, name)
    with tempfile.TemporaryDirectory() as cache:
        yield _load(registry.fetch(ref, Path(cache)), registry.manifest(ref), device)


def _released(registry: Registry, name: str) -> ModelRef:
    release = registry.releases().get(name)
    if release is None:
        raise ModelNotFound(f"'{name}' is neither a folder nor a released model; `headrace models ls` lists those")
    return ModelRef(name, release.current.version)


def _stage(files: Sequence[SourceFile], folder: Path) -> Path:
    """Lay a version's files out as links, as a worker's cache would hold them."""
    for entry, source in files:
        target = folder / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source.resolve())
    return folder


def _load(folder: Path, manifest: Manifest, device: str) -> Runtime:
    if not manifest.examples:
        raise InvalidModel("the model has no examples; they are what it is checked, tuned and warmed up with")
    try:
        return Runtime.load(folder=folder, manifest=manifest, device=device)
    except HeadraceError:
        raise
    except Exception as error:
        raise InvalidModel(f"load failed: {in_one_line(error, folder)}") from error
