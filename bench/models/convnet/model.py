"""A convolutional net of ResNet-50's size (arXiv:1512.03385) with random weights: only its work is of interest."""

import json
import os
import struct
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from headrace.model import Model

_PARAMETERS = json.loads((Path(__file__).parent / "parameters.json").read_text())
_PASS = struct.Struct("=ddI")
_PIXELS = (3, 224, 224)
#: Blocks of each stage, and the channels inside them.
_STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))


class Block(nn.Module):
    """Three convolutions and the way past them."""

    def __init__(self, channels: int, inner: int, stride: int) -> None:
        super().__init__()
        self.around = (
            nn.Conv2d(channels, 4 * inner, 1, stride) if stride > 1 or channels != 4 * inner else nn.Identity()
        )
        self.through = nn.Sequential(
            *(nn.Conv2d(channels, inner, 1), nn.BatchNorm2d(inner), nn.ReLU()),
            *(nn.Conv2d(inner, inner, 3, stride, padding=1), nn.BatchNorm2d(inner), nn.ReLU()),
            *(nn.Conv2d(inner, 4 * inner, 1), nn.BatchNorm2d(4 * inner)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Both ways together."""
        return torch.relu(self.around(x) + self.through(x))


def build_net() -> nn.Sequential:
    """Some 25 million weights, from pixels to 1000 classes."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, padding=3), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)]
    channels = 64
    for number, (blocks, inner) in enumerate(_STAGES):
        for block in range(blocks):
            layers.append(Block(channels, inner, stride=2 if block == 0 and number else 1))
            channels = 4 * inner
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


class ConvNet(Model, max_batch=int(_PARAMETERS["max_batch"]), autocast=_PARAMETERS.get("autocast")):
    """Says which of 1000 classes an image belongs to."""

    examples = (1, 2)

    def load(self, files: Path, device: str) -> None:  # noqa: ARG002 - random weights are in no file
        """Make the net, always the same."""
        torch.manual_seed(0)
        self.net = build_net().eval().to(device)
        self._passes = os.open(_PARAMETERS["passes"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def preprocess(self, item: int) -> Tensor:
        """Pixels made of a number, in place of a decoded image."""
        return torch.rand(_PIXELS, generator=torch.Generator().manual_seed(item))

    def forward(self, batch: Tensor) -> Tensor:
        """Most likely class, and a line in the file of passes."""
        began = time.monotonic()
        rows: Tensor = self.net(batch).argmax(dim=1)
        if rows.is_cuda:
            torch.cuda.synchronize()
        os.write(self._passes, _PASS.pack(began, time.monotonic(), len(batch)))
        return rows

    def postprocess(self, row: Tensor) -> int:
        """The class's number."""
        return int(row)
