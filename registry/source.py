"""The author's source: import it under a name of its own and find the class in it."""

import importlib
import sys
import traceback
from importlib.machinery import FileFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

from headrace.errors import InvalidModel
from headrace.model import Model

#: The source file of a folder that names none.
DEFAULT_SOURCE = "model.py"


class _UncachedSource(SourceFileLoader):
    """Compiles what was verified: bytecode left beside the source is neither read nor written."""

    def path_stats(self, path: str) -> dict[str, int]:
        raise OSError(f"bytecode of {path} is not used")


def find_model(folder: Path, *, entry: str | None, digest: str) -> tuple[str, type[Model]]:
    """Import a folder's source and answer its full entry (`model.py:Embedder`) and the class.

    `entry` may be `file.py`, `file.py:Class` or None, which means the only model of `model.py`. The folder becomes a
    package named after `digest`, so that versions live side by side and relative imports work.

    Raises:
        InvalidModel: if there is no such file, it cannot be imported, or the class is missing or ambiguous.
    """
    file, _, class_name = (entry or DEFAULT_SOURCE).partition(":")
    if not file.endswith(".py") or not (folder / file).is_file():
        raise InvalidModel(f"there is no source file '{file}' in {folder}; name it with --entry")
    module = _import_source(folder, file, _package(digest))
    model = _named(module, file, class_name) if class_name else _only_model(module, file)
    if model.max_batch < 1:
        raise InvalidModel(f"{model.__name__}: max_batch is {model.max_batch}; it must be at least 1")
    return f"{file}:{model.__name__}", model


def forget_source(digest: str) -> None:
    """Undo the import of a version's source, with all that its modules hold; those in use stay alive."""
    package = _package(digest)
    for name in [name for name in sys.modules if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]


def _package(digest: str) -> str:
    return f"headrace_model_{digest[:16]}"


def _import_source(folder: Path, file: str, package: str) -> ModuleType:
    if package not in sys.modules:
        parent = ModuleType(package)
        parent.__path__ = [str(folder)]
        sys.modules[package] = parent
    sys.path_importer_cache[str(folder)] = FileFinder(str(folder), (_UncachedSource, [".py"]))
    try:
        return importlib.import_module(f"{package}.{file.removesuffix('.py').replace('/', '.')}")
    except InvalidModel:
        raise
    except Exception as error:
        raise InvalidModel(f"{file} cannot be imported: {in_one_line(error, folder)}") from error


def in_one_line(error: Exception, folder: Path) -> str:
    """What the author's code raised, and where in its folder, for who sees no traceback."""
    home = folder.absolute()
    steps = [(Path(step.filename).absolute(), step.lineno) for step in traceback.extract_tb(error.__traceback__)]
    ours = [(file.relative_to(home), line) for file, line in steps if file.is_relative_to(home)]
    where = f" ({ours[-1][0]}, line {ours[-1][1]})" if ours else ""
    return f"{type(error).__name__}: {error}{where}"


def _named(module: ModuleType, file: str, class_name: str) -> type[Model]:
    model = getattr(module, class_name, None)
    if not (isinstance(model, type) and issubclass(model, Model)):
        raise InvalidModel(f"{file} has no subclass of Model named '{class_name}'")
    return model


def _only_model(module: ModuleType, file: str) -> type[Model]:
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Model) and value.__module__ == module.__name__
    ]
    if len(own) != 1:
        found = ", ".join(sorted(model.__name__ for model in own)) or "none"
        raise InvalidModel(
            f"{file} must define one subclass of Model (found: {found}); or name it with --entry {file}:Class"
        )
    return own[0]
