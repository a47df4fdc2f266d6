"""MLflow: a folder with an MLmodel file, read without MLflow (its docs, "MLflow Model format").

Two of its flavours hold no pickles: `onnx` becomes an `OnnxModel` with the shapes of the signature, `transformers` what
its files are for `hugging_face`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import yaml

from headrace.errors import InvalidModel
from registry.importing.artifact import Artifact
from registry.importing.hugging_face import from_hugging_face
from registry.manifest import contained

_SOURCE = '''"""A graph, imported from what MLflow saved."""

from typing import Annotated

import numpy as np
from pydantic import Field

from workers.runtimes.onnx import OnnxModel

Input = {input_hint}
Output = {output_hint}


class Imported(OnnxModel, max_batch=64):
    """{summary}"""

    # Better ones say more: they warm the model up, and `models check` and `models tune` go by them.
    examples = (np.zeros({shape}).tolist(), np.ones({shape}).tolist())
    graph = "{graph}"

    def preprocess(self, item: Input) -> np.ndarray:
        """One input, shape {shape}."""
        return np.array(item, dtype=np.{dtype})

    def postprocess(self, row: np.ndarray) -> Output:
        """One row as plain numbers."""
        return row.tolist()
'''


def from_mlflow(folder: Path) -> Artifact:
    """Read a folder.

    Raises:
        InvalidModel: if it is none of that kind, has another flavour, or a signature that does not say enough.
    """
    document = _document(folder)
    flavors = document.get("flavors") or {}
    provenance = {f"mlflow_{name}": str(document.get(name) or "") for name in ("run_id", "model_uuid")}
    if "onnx" in flavors:
        return _onnx(folder, flavors["onnx"], document)._replace(provenance=provenance)
    if "transformers" in flavors:
        inner = folder / _inside(flavors["transformers"].get("model_binary", "model"))
        tokenizer = folder / "components" / "tokenizer"
        return _with_tokenizer(from_hugging_face(inner), tokenizer)._replace(provenance=provenance)
    names = ", ".join(sorted(flavors)) or "none"
    raise InvalidModel(
        f"{folder} has the flavours {names}; onnx and transformers are imported, and the others hold pickles, which are"
        " code: write a model.py that loads yours (headrace models scaffold NAME), and push it with --trusted"
    )


def _document(folder: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load((folder / "MLmodel").read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidModel(f"{folder} has no MLmodel file that can be read ({error})") from error
    if not isinstance(document, dict):
        raise InvalidModel(f"{folder}/MLmodel is no table")
    return document


def _onnx(folder: Path, flavor: Mapping[str, Any], document: Mapping[str, Any]) -> Artifact:
    graph = _inside(flavor.get("data", "model.onnx"))
    (dtype, shape), output = _tensor(folder, document, "inputs"), _tensor(folder, document, "outputs")
    source = _SOURCE.format(
        input_hint=_hint(dtype, shape),
        output_hint=_hint(*output),
        shape=tuple(shape),
        dtype=dtype,
        graph=graph,
        summary=f"Runs {graph}.",
    )
    beside = {path.relative_to(folder).as_posix(): path for path in _graph_files(folder / graph)}
    return Artifact(source, beside, {})


def _graph_files(graph: Path) -> list[Path]:
    """The graph, and what lies beside it: large ones keep their weights in other files."""
    if graph.is_dir():
        return sorted(path for path in graph.iterdir() if path.is_file())
    return [graph, *sorted(graph.parent.glob(f"{graph.name}*data*"))]


def _tensor(folder: Path, document: Mapping[str, Any], side: str) -> tuple[str, list[int]]:
    """Type and shape of one item of the only tensor of a side; the first dimension is the batch's."""
    try:
        (spec,) = orjson.loads((document.get("signature") or {})[side])
        dtype, shape = str(spec["tensor-spec"]["dtype"]), [int(size) for size in spec["tensor-spec"]["shape"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidModel(
            f"{folder}/MLmodel: its signature does not name one tensor among its {side} ({type(error).__name__}); log"
            " the model with a signature, or write a model.py for it: headrace models scaffold NAME"
        ) from error
    if shape[:1] != [-1] or any(size < 1 for size in shape[1:]) or dtype not in _PYTHON:
        raise InvalidModel(
            f"{folder}/MLmodel: the {side} are {dtype} of shape {shape}; imported are numbers whose first dimension,"
            " the batch, is -1 and the only one that varies"
        )
    return dtype, shape[1:]


_PYTHON = {
    **dict.fromkeys(("float16", "float32", "float64"), "float"),
    **dict.fromkeys(("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"), "int"),
}


def _hint(dtype: str, shape: Sequence[int]) -> str:
    hint = _PYTHON[dtype]
    for size in reversed(shape):
        hint = f"Annotated[list[{hint}], Field(min_length={size}, max_length={size})]"
    return hint


def _inside(path: object) -> str:
    try:
        return contained(str(path))
    except ValueError as error:
        raise InvalidModel(f"MLmodel: {error}; it would lead out of the folder") from error


def _with_tokenizer(artifact: Artifact, folder: Path) -> Artifact:
    found = {f"files/{path.name}": path.resolve() for path in folder.glob("*") if path.is_file()}
    return artifact._replace(files={**found, **artifact.files})
