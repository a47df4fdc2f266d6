"""A version that takes too much memory while it loads is refused with the reason, and the process goes on."""

from pathlib import Path

import numpy
import pytest
import torch

from headrace.errors import InvalidModel
from headrace.model_ref import ModelRef
from registry.registry import Registry
from tests.model_folder import DOUBLER, write_model
from workers.loaded_models import LoadedModels

#: Above what numpy and torch want for themselves; they are imported first.
LIMIT_BYTES = 256 << 20

#: What a greedy load does, by what it uses.
GREEDY = {
    "python": "self.weights = bytearray(1 << 30)",
    "numpy": f"import {numpy.__name__}; self.weights = numpy.ones(128 << 20)",
    "torch": f"import {torch.__name__}; self.weights = torch.ones(256 << 20)",
}


def models(tmp_path: Path, source: str, *, load_bytes: int = LIMIT_BYTES) -> LoadedModels:
    registry = Registry(url=(tmp_path / "store").as_uri())
    registry.push(write_model(tmp_path / "greedy", source), name="greedy")
    registry.push(write_model(tmp_path / "doubler"), name="doubler")
    return LoadedModels(registry=registry, cache=tmp_path / "cache", device="cpu", load_bytes=load_bytes)


def greedy(how: str) -> str:
    return f"{DOUBLER}\n    def load(self, files, device):\n        {how}\n"


@pytest.mark.parametrize("how", GREEDY)
def test_a_greedy_load_is_refused_and_the_next_model_loads(tmp_path: Path, how: str) -> None:
    loaded = models(tmp_path, greedy(GREEDY[how]))

    with pytest.raises(InvalidModel, match="greedy@1 needs more memory to load than 268 MB, which is what load_memory"):
        loaded.load("greedy@1", b"")

    assert loaded.load("doubler@1", b"").run([b'{"value": 4}'])[0].body == b"8"


def test_without_a_limit_it_loads(tmp_path: Path) -> None:
    assert models(tmp_path, greedy(GREEDY["python"]), load_bytes=0).load("greedy@1", b"").max_batch == 8


def test_after_the_load_memory_is_free_again(tmp_path: Path) -> None:
    loaded = models(tmp_path, greedy("pass"))

    loaded.load("greedy@1", b"")

    assert len(bytearray(4 * LIMIT_BYTES)) == 4 * LIMIT_BYTES


def test_another_failure_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        models(tmp_path, greedy("1 / 0")).load(str(ModelRef("greedy", 1)), b"")
