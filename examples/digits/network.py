"""The network: two convolutions and a linear layer over pictures of 8 by 8 grey pixels."""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

#: Pixels along each side of what the network sees.
SIDE = 8
LABELS = 10


class DigitNetwork(nn.Module):
    """Pictures (batch, 1, 8, 8) with values from 0 (paper) to 1 (ink) in, one score per label (batch, 10) out."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * (SIDE // 2) ** 2, LABELS),
        )

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Scores before softmax."""
        scores: torch.Tensor = self.layers(pictures)
        return scores


def load_network(weights: Path, device: str) -> DigitNetwork:
    """The trained network, ready to answer."""
    network = DigitNetwork()
    network.load_state_dict(load_file(weights))
    return network.to(device).eval()
