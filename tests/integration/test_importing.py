"""What other tools have saved becomes a version that serves, or is refused with the way out."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from headrace.settings import get_settings
from registry.__main__ import app
from registry.registry import Registry
from tests.integration.artifacts import Library, Net, onnx_graph, save_text_model
from workers.runtime import Runtime


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The empty registry of the settings."""
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "500")
    get_settings.cache_clear()
    return Registry(url=get_settings().registry_location)


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def serve(registry: Registry, name: str, cache: Path) -> Runtime:
    """Load what is released."""
    ref = registry.releases()[name].current
    return Runtime.load(folder=registry.fetch(ref, cache), manifest=registry.manifest(ref), device="cpu")


def save_mlflow(library: Library, folder: Path, net: Net, **changes: Any) -> None:
    """A graph as MLflow saves it."""
    folder.mkdir()
    onnx_graph(library, net, folder / "model.onnx")
    tensors = {side: {"dtype": "float32", "shape": [-1, size]} for side, size in (("inputs", 4), ("outputs", 3))}
    document = {
        "artifact_path": "model",
        "flavors": {
            "onnx": {"data": "model.onnx", "onnx_version": "1.23.2", "providers": ["CPUExecutionProvider"]},
            "python_function": {"loader_module": "mlflow.onnx", "python_version": "3.11.9"},
        },
        "model_uuid": "m-0123456789",
        "run_id": "abc",
        "signature": {s: json.dumps([{"type": "tensor", "tensor-spec": spec}]) for s, spec in tensors.items()},
    }
    (folder / "MLmodel").write_text(yaml.safe_dump({**document, **changes}))


def test_a_folder_of_the_transformers_library_is_published_and_served(
    library: Library, registry: Registry, tmp_path: Path
) -> None:
    save_text_model(library, tmp_path / "Mill")
    (tmp_path / "Mill/pytorch_model.bin").write_bytes(b"\x80\x04 a pickle that nobody needs")

    code, said = run("import", f"hf:{tmp_path / 'Mill'}")

    assert (0, "imported as mill@1, runtime transformers; serving @1 100%\n") == (code, said)
    [result] = serve(registry, "mill", tmp_path / "cache").run([b'{"text": "the mill turns"}'])
    assert json.loads(result.body)["label"] in ("idle", "busy")
    manifest = registry.manifest(registry.releases()["mill"].current)
    assert "hf" == manifest.provenance["imported"]
    assert not any("pytorch_model" in file.path for file in manifest.files)


def test_a_graph_that_mlflow_saved_is_published_and_served_with_the_shapes_of_its_signature(
    library: Library, registry: Registry, net: Net, tmp_path: Path
) -> None:
    save_mlflow(library, tmp_path / "saved", net)

    code, said = run("import", f"mlflow:{tmp_path / 'saved'}", "--name", "net", "--json")

    assert (0, "onnxruntime") == (code, json.loads(said)["runtime"])
    runtime = serve(registry, "net", tmp_path / "cache")
    good, short = runtime.run([b"[0.5, 1, 2, 3]", b"[0.5, 1]"])
    with torch.inference_mode():
        [row] = net(torch.tensor([[0.5, 1, 2, 3]])).tolist()
    assert (pytest.approx(row, abs=1e-5), False) == (json.loads(good.body), short.ok)
    assert ("abc", "m-0123456789") == (
        runtime.manifest.provenance["mlflow_run_id"],
        runtime.manifest.provenance["mlflow_model_uuid"],
    )


def test_a_transformer_that_mlflow_saved_is_published_with_its_tokenizer(
    library: Library, registry: Registry, tmp_path: Path
) -> None:
    save_text_model(library, tmp_path / "saved/model")
    tokenizer = tmp_path / "saved/components/tokenizer"
    tokenizer.mkdir(parents=True)
    for file in (tmp_path / "saved/model").glob("*token*"):
        file.rename(tokenizer / file.name)
    flavor = {"model_binary": "model", "task": "text-classification"}
    (tmp_path / "saved/MLmodel").write_text(yaml.safe_dump({"flavors": {"transformers": flavor}}))

    assert run("import", f"mlflow:{tmp_path / 'saved'}")[0] == 0

    assert serve(registry, "saved", tmp_path / "cache").run([b'{"text": "the mill turns"}'])[0].ok


def test_an_import_can_be_changed_before_it_is_pushed(library: Library, registry: Registry, tmp_path: Path) -> None:
    save_text_model(library, tmp_path / "mill")

    code, said = run("import", f"hf:{tmp_path / 'mill'}", "--to", tmp_path / "mine")
    pushed, _ = run(*said.split()[2:])

    assert (0, 0) == (code, pushed)
    assert "class Imported(TextClassifier" in (tmp_path / "mine/model.py").read_text()
    assert 2 == run("import", f"hf:{tmp_path / 'mill'}", "--to", tmp_path / "mine")[0]
    assert ["mill"] == list(registry.releases())


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"flavors": {"sklearn": {"pickled_model": "model.pkl"}}},
            "has the flavours sklearn; onnx and transformers",
        ),
        ({"signature": None}, "its signature does not name one tensor among its inputs"),
        ({"flavors": {"onnx": {"data": "../../secret.onnx"}}}, "it would lead out of the folder"),
    ],
)
def test_what_mlflow_saved_and_cannot_be_imported_is_refused_with_the_way_out(
    library: Library, net: Net, tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    save_mlflow(library, tmp_path / "saved", net, **changes)

    code, said = run("import", f"mlflow:{tmp_path / 'saved'}")

    assert (1, True) == (code, says in said), said


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "has no config.json that can be read"),
        ({"config.json": '{"architectures": ["BertModel"]}', "pytorch_model.bin": ""}, "has no weights in safetensors"),
        ({"config.json": '{"architectures": ["T5ForConditionalGeneration"]}'}, "only classifiers of texts"),
    ],
)
def test_a_folder_that_cannot_be_imported_says_why(tmp_path: Path, files: dict[str, str], says: str) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    code, said = run("import", f"hf:{tmp_path}")

    assert (1, True) == (code, says in said), said


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize("origin", ["hf", "hub:bert", "mlflow:", "bert-base"])
def test_an_origin_is_written_with_its_kind(origin: str) -> None:
    code, said = run("import", origin)

    assert (2, True) == (code, "write hf:PATH or mlflow:PATH" in said)
