"""Exported: a program of torch.export, PyTorch's own format for a graph with its weights.

torch.export.load falls back to unpickling, so such a file is code like a source (torch 2.13, `export/__init__.py` and
`_export/serde/serialize.py`): the registry lets it through only with `--trusted`.
"""

from pathlib import Path
from typing import ClassVar

import torch
from torch.export.passes import move_to_device_pass

from headrace.errors import InvalidModel
from headrace.model import Model


class ExportedModel(Model):
    """A model whose `forward` is an exported program; its first dimension has to be dynamic, for batches.

    Export it with `torch.export.export(net.eval(), (example,), dynamic_shapes=({0: Dim("batch", min=1, max=64)},))`.
    """

    runtime = "torch_export"
    requires = ("torch>=2.6",)
    #: The file in the version's folder; it has to end in .pt2, which is what the registry's check goes by.
    program: ClassVar[str] = "model.pt2"

    def load(self, files: Path, device: str) -> None:
        """Load the program onto the device.

        Raises:
            InvalidModel: if the file is called otherwise than .pt2.
        """
        if not self.program.endswith(".pt2"):
            raise InvalidModel(f"program is '{self.program}'; an exported program is called .pt2")
        exported = torch.export.load(files / self.program)
        if device != "cpu":
            exported = move_to_device_pass(exported, device)
        self.module = exported.module()

    def to_host(self) -> None:
        """Move the program's weights; constants that it does not count among them stay."""
        self.module.to("cpu")

    def to_device(self, device: str) -> None:
        """Move them back to where the program was made to run."""
        self.module.to(device)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Rows of the program's only output, of inputs of one shape."""
        rows: torch.Tensor = self.module(batch)
        return rows
