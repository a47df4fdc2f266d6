"""Requirements: distributions that a version's code imports; nothing is ever installed while a worker runs.

Written as `transformers>=5` (PEP 508). An image has them or has not; a worker that has not refuses the version.
"""

from collections.abc import Iterable, Iterator
from importlib import metadata

from packaging.requirements import InvalidRequirement, Requirement

from headrace.errors import InvalidModel
from headrace.model import Model


def requirements_of(model: type[Model]) -> tuple[str, ...]:
    """What a model and the classes that it is made of need, each once.

    Raises:
        InvalidModel: if one is not written as PEP 508 says.
    """
    found = (text for kind in reversed(model.__mro__) for text in vars(kind).get("requires", ()))
    return tuple(dict.fromkeys(str(_parsed(text)) for text in found))


def check_requirements(requires: Iterable[str], *, of: str) -> None:
    """Make sure that this process could import what is needed.

    Raises:
        InvalidModel: naming all that is missing or of another version, and what there is instead.
    """
    missing = list(_missing(requires))
    if missing:
        raise InvalidModel(f"{of} needs {', '.join(missing)}; install it where the workers run, and start them again")


def _missing(requires: Iterable[str]) -> Iterator[str]:
    for requirement in map(_parsed, requires):
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield f"{requirement}, which is not installed"
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement}, and there is {version}"


def _parsed(text: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        problem = str(error).partition("\n")[0]
        raise InvalidModel(f"requires: '{text}' is no requirement ({problem}); write it as transformers>=5") from error
