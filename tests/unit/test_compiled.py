"""Compiled passes: as many graphs as buckets, whatever sizes the batches have."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.model_folder import load_model
from workers import compiled
from workers.compiled import Compiled

BUCKETS = (1, 2, 4, 8)


class Counting:
    """A backend of `torch.compile` that runs graphs as they are and counts them."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:  # noqa: ARG002 - torch's signature
        self.graphs += 1
        return graph.forward


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    counting = Counting()
    torch._dynamo.reset()
    monkeypatch.setattr(compiled, "BACKEND", counting)
    yield counting
    torch._dynamo.reset()


def double(batch: torch.Tensor) -> torch.Tensor:
    return batch * 2


def test_batches_of_every_size_need_one_graph_a_bucket_and_keep_their_rows(backend: Counting) -> None:
    run = Compiled(double, mode="default", buckets=BUCKETS)

    for size in (3, 1, 8, 5, 2, 7, 4, 6, 3):
        batch = torch.arange(size * 3.0).reshape(size, 3)
        assert torch.equal(batch * 2, run(batch))

    assert len(BUCKETS) == backend.graphs


def test_more_buckets_than_torch_keeps_graphs_are_all_compiled(backend: Counting) -> None:
    run = Compiled(double, mode="default", buckets=range(1, 13))

    for size in range(1, 13):
        run(torch.zeros(size, 2))

    assert 12 == backend.graphs


def test_items_of_another_shape_or_type_cause_no_compilation(backend: Counting) -> None:
    run = Compiled(double, mode="default", buckets=BUCKETS)
    run(torch.zeros(2, 3))

    assert torch.equal(torch.ones(2, 5) * 2, run(torch.ones(2, 5)))
    assert torch.equal(torch.full((2, 3), 2), run(torch.ones(2, 3, dtype=torch.int64)))

    assert 1 == backend.graphs


def test_a_batch_that_is_a_list_runs_as_it_was_written(backend: Counting) -> None:
    run = Compiled(lambda batch: [len(item) for item in batch], mode="default", buckets=BUCKETS)

    assert [1, 2] == run([[7], [7, 7]])
    assert 0 == backend.graphs


@pytest.mark.usefixtures("backend")
def test_a_wrong_number_of_rows_is_not_hidden() -> None:
    run = Compiled(lambda batch: batch[:-2], mode="default", buckets=BUCKETS)

    assert 2 == len(run(torch.zeros(3, 1)))


SOURCE = """
import torch
class M(Model, max_batch=6, compile="default"):
    examples = [[1, 2], [3, 4]]
    def preprocess(self, item: list[float]): return torch.tensor(item)
    def forward(self, batch): return batch.sum(dim=1)
    def postprocess(self, row) -> float: return float(row)
"""


def test_a_version_is_compiled_while_it_loads_and_never_after(backend: Counting, tmp_path: Path) -> None:
    runtime = load_model(tmp_path, SOURCE)
    graphs = backend.graphs

    results = [result.body for size in (1, 3, 5) for result in runtime.run([b"[1, 2]"] * size)]

    assert [b"3.0"] * 9 == results
    assert (4, 4) == (graphs, backend.graphs)


@pytest.mark.usefixtures("backend")
def test_a_compiled_version_cannot_be_parked_since_its_graphs_may_know_where_its_weights_are(tmp_path: Path) -> None:
    hooks = "    def to_host(self): pass\n    def to_device(self, device): pass\n"

    assert not load_model(tmp_path / "compiled", SOURCE + hooks).can_park
    assert load_model(tmp_path / "plain", SOURCE.replace(', compile="default"', "") + hooks).can_park
