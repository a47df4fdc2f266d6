"""ONNX: a graph with its weights, run by ONNX Runtime.

It holds no code. What it may load from other files lies inside its version's folder, which ONNX Runtime checks itself.
"""

import os
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnxruntime

from headrace.errors import InvalidModel
from headrace.model import Model


class OnnxModel(Model):
    """A model whose `forward` is a graph; the first dimension of its inputs has to be dynamic, for batches."""

    runtime = "onnxruntime"
    requires = ("onnxruntime>=1.32", "numpy>=2")
    #: The file in the version's folder.
    graph: ClassVar[str] = "model.onnx"
    #: Name of the output whose rows `forward` returns; empty: the first.
    output: ClassVar[str] = ""

    def load(self, files: Path, device: str) -> None:
        """Load the graph onto the device.

        Raises:
            InvalidModel: if the graph cannot be used, or this ONNX Runtime has no CUDA and is to run there.
        """
        provider = "CUDAExecutionProvider" if device.startswith("cuda") else "CPUExecutionProvider"
        if provider not in onnxruntime.get_available_providers():
            raise InvalidModel(f"onnxruntime {onnxruntime.__version__} knows no CUDA; install onnxruntime-gpu instead")
        try:
            self.session = onnxruntime.InferenceSession(
                str(files / self.graph), _options(), providers=[(provider, _on(device))]
            )
        except Exception as error:
            # What the library raises has no base of its own.
            raise InvalidModel(f"'{self.graph}' cannot be loaded: {error}") from error
        self._input = self.session.get_inputs()[0].name
        self._output = self.output or self.session.get_outputs()[0].name

    def forward(self, batch: Any) -> Any:
        """Rows of one output, of inputs of one shape; a graph with several inputs needs a `forward` with `run`."""
        return self.run([self._output], {self._input: batch})[0]

    def run(self, outputs: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        """Outputs of the graph by name, of inputs by name."""
        arrays: list[np.ndarray] = self.session.run(outputs, inputs)
        return arrays


def _on(device: str) -> dict[str, str]:
    return {"device_id": device.partition(":")[2] or "0"} if device.startswith("cuda") else {}


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    # It would take every core; the worker's class says how many there are for this process.
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
