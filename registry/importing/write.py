"""Write: an artifact as a folder with a model in it."""

from pathlib import Path

from headrace.errors import InvalidInput
from registry.importing.artifact import Artifact
from registry.importing.hugging_face import from_hugging_face
from registry.importing.mlflow import from_mlflow

_READERS = {"hf": from_hugging_face, "mlflow": from_mlflow}


def read_artifact(origin: str) -> Artifact:
    """Read `hf:PATH` or `mlflow:PATH`.

    Raises:
        InvalidInput: if it is written otherwise.
        InvalidModel: if there is nothing that can be imported.
    """
    kind, colon, path = origin.partition(":")
    if kind not in _READERS or not colon or not path:
        raise InvalidInput(f"'{origin}' is no origin; write hf:PATH or mlflow:PATH, with a folder on this disk")
    artifact = _READERS[kind](Path(path))
    return artifact._replace(provenance={**artifact.provenance, "imported": kind})


def write_source(artifact: Artifact, folder: Path) -> None:
    """Write `model.py` into a folder that has none.

    Raises:
        InvalidInput: if there is one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with (folder / "model.py").open("x") as file:
            file.write(artifact.source)
    except FileExistsError:
        raise InvalidInput(f"{folder}/model.py is there already; name a folder that has none") from None
