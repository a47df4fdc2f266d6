"""`python -m examples.digits.train FOLDER`: train the network and write `FOLDER/model.safetensors`; takes seconds.

The data are the 1,797 handwritten digits that scikit-learn brings along (Alpaydin and Kaynak, UCI Machine Learning
Repository, 1998). Every fourth one is kept aside for the test. The same machine gives the same weights every time.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

from examples.digits.network import DigitNetwork

EPOCHS = 20
_BATCH = 64
_SEED = 7
#: The ink of a pixel goes from 0 to this in the data.
_FULL = 16.0


class Digits(NamedTuple):
    """Pictures (n, 1, 8, 8) with values from 0 to 1, and what they show (n,)."""

    pictures: torch.Tensor
    labels: torch.Tensor


def load_data() -> tuple[Digits, Digits]:
    """What to train with, and what to test with."""
    found = load_digits()
    pictures = torch.from_numpy(found.images.astype(np.float32) / _FULL).unsqueeze(1)
    labels = torch.from_numpy(found.target.astype(np.int64))
    is_test = torch.arange(len(labels)) % 4 == 0
    return Digits(pictures[~is_test], labels[~is_test]), Digits(pictures[is_test], labels[is_test])


@contextmanager
def one_thread() -> Iterator[None]:
    """The sums of several threads would come in another order each time; so little work is also done sooner by one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@one_thread()
def train(data: Digits, *, epochs: int = EPOCHS) -> DigitNetwork:
    """A network trained from scratch."""
    torch.manual_seed(_SEED)
    network = DigitNetwork()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(epochs):
        for some in torch.randperm(len(data.labels)).tensor_split(len(data.labels) // _BATCH):
            optimizer.zero_grad()
            loss = cross_entropy(network(data.pictures[some]), data.labels[some])
            torch.autograd.backward(loss)
            optimizer.step()
    return network.eval()


@torch.inference_mode()
def accuracy(network: DigitNetwork, data: Digits) -> float:
    """Share of pictures whose label is found."""
    return float((network(data.pictures).argmax(dim=1) == data.labels).float().mean())


def main() -> None:
    """Train, say how well it went, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the weights go")
    folder = parser.parse_args().folder
    training, test = load_data()
    network = train(training)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), folder / "model.safetensors")
    print(f"{accuracy(network, test):.1%} of {len(test.labels)} digits that it has not seen are recognised")


if __name__ == "__main__":
    main()
