"""Each runtime loads and serves one real artifact that is made here."""

from pathlib import Path
from typing import Any

import orjson
import pytest
import torch
from safetensors.torch import save_file

from headrace.errors import InvalidModel
from registry.manifest import Manifest
from registry.registry import Registry
from tests.integration.artifacts import WORDS, Library, Net, onnx_graph, save_text_model
from tests.model_folder import write_model
from workers.check import check
from workers.runtime import Runtime

INPUTS = [[0.1, 0.2, 0.3, 0.4], [-1.0, 0.0, 1.0, 2.0], [5.0, 5.0, 5.0, 5.0]]

#: Hooks that the sources of tensors share.
HOOKS = """
    examples = ([0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0])

    def preprocess(self, item: list[float]) -> torch.Tensor: return torch.tensor(item)
    def postprocess(self, row: torch.Tensor) -> list[float]: return row.tolist()
"""

EXPORTED = f"""
import torch
from workers.runtimes.exported import ExportedModel

class Scores(ExportedModel, max_batch=8):
    program = "net.pt2"
{HOOKS}
"""

WEIGHTS = f"""
import torch
from torch import nn
from workers.runtimes.weights import WeightsModel

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 3)
    def forward(self, batch): return self.second(torch.relu(self.first(batch)))

class Scores(WeightsModel, max_batch=8):
    def network(self): return Net()
{HOOKS}
"""

ONNX = """
import numpy as np
from workers.runtimes.onnx import OnnxModel

class Scores(OnnxModel, max_batch=8):
    examples = ([0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0])

    def preprocess(self, item: list[float]) -> np.ndarray: return np.array(item, dtype=np.float32)
    def postprocess(self, row: np.ndarray) -> list[float]: return row.tolist()
"""


def serve(folder: Path, cache: Path, *, trusted: bool = False) -> tuple[Manifest, Runtime]:
    """Push, fetch and load a folder, which has to pass the check too."""
    registry = Registry(url="memory://")
    manifest = registry.push(folder, name="m", entry="model.py:Scores", trusted=trusted).manifest
    runtime = Runtime.load(folder=registry.fetch(manifest.ref, cache), manifest=manifest, device="cpu")
    return manifest, runtime


def results(runtime: Runtime) -> list[list[float]]:
    return [orjson.loads(result.body) for result in runtime.run([orjson.dumps(item) for item in INPUTS])]


def expected(net: Net) -> list[Any]:
    with torch.inference_mode():
        return [pytest.approx(row, abs=1e-5) for row in net(torch.tensor(INPUTS)).tolist()]


def export(net: Net, file: Path) -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    torch.export.save(torch.export.export(net, (torch.zeros(2, 4),), dynamic_shapes=({0: batch},)), file)


def test_an_exported_program_is_served(net: Net, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", EXPORTED)
    export(net, folder / "net.pt2")

    manifest, runtime = serve(folder, tmp_path / "cache", trusted=True)

    assert ("torch_export", ("torch>=2.6",)) == (manifest.runtime, manifest.requires)
    assert expected(net) == results(runtime)


def weights_of(runtime: Runtime) -> set[str]:
    return {parameter.device.type for parameter in vars(runtime)["_model"].module.parameters()}


@pytest.mark.parametrize("source", [EXPORTED, WEIGHTS], ids=["exported", "weights"])
def test_what_was_parked_comes_back_to_the_device_of_its_load(source: str, net: Net, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", source)
    if source is EXPORTED:
        export(net, folder / "net.pt2")
    else:
        save_file(net.state_dict(), folder / "model.safetensors")
    _, runtime = serve(folder, tmp_path / "cache", trusted=source is EXPORTED)

    runtime.to_host()
    runtime.to_device()

    assert runtime.can_park
    assert {"cpu"} == weights_of(runtime)
    assert expected(net) == results(runtime)


def test_an_exported_program_is_code_so_nobody_loads_it_unless_it_is_trusted(net: Net, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", EXPORTED)
    export(net, folder / "net.pt2")

    with pytest.raises(InvalidModel, match=r"'net.pt2': is a compiled program; push with --trusted"):
        serve(folder, tmp_path / "cache")


def test_an_exported_program_under_another_name_is_not_loaded(net: Net, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", EXPORTED.replace("net.pt2", "net.bin"))
    export(net, folder / "net.pt2")
    (folder / "net.pt2").rename(folder / "net.bin")

    with pytest.raises(InvalidModel, match=r"program is 'net\.bin'; an exported program is called \.pt2"):
        serve(folder, tmp_path / "cache")


def test_safetensors_are_served_with_the_architecture_of_the_source(net: Net, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", WEIGHTS)
    save_file(net.state_dict(), folder / "model.safetensors")

    manifest, runtime = serve(folder, tmp_path / "cache")

    assert manifest.runtime == "safetensors"
    assert expected(net) == results(runtime)


def test_weights_of_another_architecture_are_refused_by_name(net: Net, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", WEIGHTS)
    save_file({**net.state_dict(), "third.bias": torch.zeros(1)}, folder / "model.safetensors")

    with pytest.raises(RuntimeError, match=r"Unexpected key\(s\) in state_dict: \"third.bias\""):
        serve(folder, tmp_path / "cache")


def test_a_graph_is_served_by_onnx_runtime(library: Library, net: Net, tmp_path: Path) -> None:
    library("onnxruntime")
    folder = write_model(tmp_path / "m", ONNX)
    onnx_graph(library, net, folder / "model.onnx")

    manifest, runtime = serve(folder, tmp_path / "cache")

    assert manifest.runtime == "onnxruntime"
    assert expected(net) == results(runtime)
    assert [finding for finding in check(folder, entry="model.py:Scores") if not finding.ok] == []


def test_a_graph_may_have_its_weights_in_a_file_beside_it(library: Library, net: Net, tmp_path: Path) -> None:
    library("onnxruntime")
    folder = write_model(tmp_path / "m", ONNX)
    (folder / "first.bin").write_bytes(net.state_dict()["first.weight"].numpy().tobytes())
    onnx_graph(library, net, folder / "model.onnx", external="first.bin")

    _, runtime = serve(folder, tmp_path / "cache")

    assert expected(net) == results(runtime)
    assert [finding for finding in check(folder, entry="model.py:Scores") if not finding.ok] == []


@pytest.mark.parametrize("place", ["../../secret", "/etc/hostname", "sub/../../../secret"])
def test_a_graph_that_reads_files_outside_of_its_folder_is_refused(
    library: Library, net: Net, tmp_path: Path, place: str
) -> None:
    library("onnxruntime")
    folder = write_model(tmp_path / "m", ONNX)
    (tmp_path / "secret").write_bytes(net.state_dict()["first.weight"].numpy().tobytes())
    onnx_graph(library, net, folder / "model.onnx", external=place)

    with pytest.raises(InvalidModel, match=r"'model.onnx' cannot be loaded: .*path validation failed"):
        serve(folder, tmp_path / "cache")


def test_what_is_no_graph_is_refused_by_name(library: Library, tmp_path: Path) -> None:
    library("onnxruntime")
    folder = write_model(tmp_path / "m", ONNX, files={"model.onnx": "no graph"})

    with pytest.raises(InvalidModel, match=r"'model\.onnx' cannot be loaded"):
        serve(folder, tmp_path / "cache")


CLASSIFIER = """
from workers.runtimes.hugging_face import Text, TextClassifier

class Scores(TextClassifier, max_batch=4):
    examples = (Text(text="the mill turns"), Text(text="still"))
"""

EMBEDDER = CLASSIFIER.replace("TextClassifier", "TextEmbedder")


TEXTS = ["the mill turns", "mill", "the mill stands still still"]


def text_results(runtime: Runtime) -> list[Any]:
    return [orjson.loads(result.body) for result in runtime.run([orjson.dumps({"text": text}) for text in TEXTS])]


def ids(text: str) -> torch.Tensor:
    return torch.tensor([[WORDS.index(word) for word in text.split()]])


def test_a_classifier_of_the_transformers_library_is_served_from_local_files(library: Library, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", CLASSIFIER)
    net = save_text_model(library, folder / "files")

    manifest, runtime = serve(folder, tmp_path / "cache")
    found = text_results(runtime)

    with torch.inference_mode():
        alone = [torch.softmax(net(ids(text)).logits[0], dim=0) for text in TEXTS]
    assert manifest.runtime == "transformers"
    assert [["idle", "busy"][int(row.argmax())] for row in alone] == [label["label"] for label in found]
    assert [pytest.approx(float(row.max()), abs=1e-5) for row in alone] == [label["score"] for label in found]
    assert [finding for finding in check(folder, entry="model.py:Scores") if not finding.ok] == []


def test_an_embedder_of_the_transformers_library_is_served_from_local_files(library: Library, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", EMBEDDER)
    net = save_text_model(library, folder / "files")

    _, runtime = serve(folder, tmp_path / "cache")

    with torch.inference_mode():
        means = [net.bert(ids(text)).last_hidden_state[0].mean(dim=0) for text in TEXTS]
    wanted = [pytest.approx((row / row.norm()).tolist(), abs=1e-5) for row in means]
    assert wanted == text_results(runtime)
