"""What the scheduler knows of the needs of model versions."""

from pathlib import Path

from headrace.model_ref import ModelRef
from headrace.worker_fit import NOTHING, Needs
from registry.registry import Registry
from scheduler.needs_book import NeedsBook
from tests.model_folder import write_model

DEMANDING = """
class M(Model, device="cuda", memory_bytes=7, labels=("eu",)):
    def forward(self, batch: list[str]) -> list[str]: return batch
"""


def test_needs_are_read_from_the_manifest_and_unknown_ones_again_after_a_while(tmp_path: Path) -> None:
    now = [100.0]
    registry = Registry(url=(tmp_path / "registry").as_uri())
    book = NeedsBook(registry=registry, clock=lambda: now[0])
    ref = ModelRef("m", 1)

    before = book.of(ref)
    registry.push(write_model(tmp_path / "source", DEMANDING), name="m")
    too_soon = book.of(ref)
    now[0] += 30.0

    assert (NOTHING, NOTHING) == (before, too_soon)
    assert Needs("cuda", 7, ("eu",)) == book.of(ref)
