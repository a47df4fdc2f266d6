"""Weights: safetensors for a network that the version's own source describes."""

from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import load_file

from headrace.model import Model


class WeightsModel(Model):
    """A model whose `forward` is a PyTorch network with weights from a safetensors file.

    The file is mapped, not read, and its tensors become the network's: loading takes their memory once.
    """

    runtime = "safetensors"
    requires = ("torch>=2.6", "safetensors>=0.5")
    #: The file in the version's folder.
    weights: ClassVar[str] = "model.safetensors"

    def network(self) -> torch.nn.Module:
        """The architecture, as the weights know it; its own first weights are never made."""
        raise NotImplementedError(f"{type(self).__name__} has no network; it makes what the weights belong to")

    def load(self, files: Path, device: str) -> None:
        """Make the network of the file's tensors; a name that only one of them has is an error."""
        with torch.device("meta"):
            net = self.network()
        net.load_state_dict(load_file(files / self.weights, device=device), assign=True)
        self.module = net.eval()

    def to_host(self) -> None:
        """Move the network."""
        self.module.to("cpu")

    def to_device(self, device: str) -> None:
        """Move the network back."""
        self.module.to(device)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        """Rows of the network's output, of inputs of one shape."""
        rows: torch.Tensor = self.module(batch)
        return rows
