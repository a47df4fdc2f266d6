"""What a model says of how far its pass is, and what becomes of it."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import InvalidModel
from tests.model_folder import load_model
from workers.runtime import Runtime, Staged

#: Waits in `forward` until it is let go; what it says is what `states` says.
SOURCE = """
import threading
from headrace.model import Model

class Slow(Model, max_batch=8):
    gate = threading.Event()
    entered = threading.Event()
    states = (b"a", None)

    def forward(self, batch: list[str]) -> list[str]:
        if batch[0] == "wait":
            self.entered.set()
            self.gate.wait(60)
        if "bad" in batch:
            raise ValueError("told to")
        return batch

    def checkpoint(self):
        if isinstance(self.states, Exception):
            raise self.states
        return self.states

    def resume(self, item: str, state: bytes) -> str:
        if state == b"bad":
            raise ValueError("told to")
        return item + state.decode()
"""

Load = Callable[[str], Runtime]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write, push, fetch and load a model."""
    return lambda source: load_model(tmp_path, source)


@pytest.fixture
def runtime(load: Load) -> Runtime:
    return load(SOURCE)


def beside(runtime: Runtime, *inputs: bytes, states: object = (b"a", None)) -> list[bytes]:
    """What is kept while these are in the pass."""
    model: Any = runtime._model
    model.gate.clear()
    model.entered.clear()
    model.states = states
    pass_ = threading.Thread(target=lambda: runtime.run(inputs))
    pass_.start()
    try:
        assert model.entered.wait(60)
        return runtime.checkpoint()
    finally:
        model.gate.set()
        pass_.join()


def test_it_is_asked_beside_the_pass_and_answers_for_each_input(runtime: Runtime) -> None:
    assert [b"a", b""] == beside(runtime, b'"wait"', b'"x"')


def test_an_input_that_was_refused_is_passed_by(runtime: Runtime) -> None:
    assert [b"a", b"", b""] == beside(runtime, b'"wait"', b"7", b'"x"')


def test_without_a_pass_nothing_is_kept(runtime: Runtime) -> None:
    runtime.run([b'"x"'])

    assert [] == runtime.checkpoint()


@pytest.mark.parametrize("states", [(), ("text", "text"), ValueError("told to"), (b"a",)])
def test_what_cannot_be_used_is_not_kept(runtime: Runtime, states: object) -> None:
    assert [] == beside(runtime, b'"wait"', b'"x"', states=states)


def test_nothing_is_kept_of_a_pass_over_a_part_of_the_batch(runtime: Runtime) -> None:
    model: Any = runtime._model
    model.gate.set()
    seen: list[list[bytes]] = []
    whole: Any = runtime._compute

    def look(batch: list[str]) -> Any:
        seen.append(runtime.checkpoint())
        return whole(batch)

    runtime._compute = look
    runtime.run([b'"x"', b'"bad"'])

    assert [b"a", b""] == seen[0]
    assert [[]] * (len(seen) - 1) == seen[1:]
    assert len(seen) > 1


def test_an_input_goes_on_from_what_was_kept(runtime: Runtime) -> None:
    assert Staged("x, half", 1.0) == runtime.stage(b'"x"', b", half")
    assert Staged("x", 1.0) == runtime.stage(b'"x"')


def test_what_cannot_be_resumed_begins_anew(runtime: Runtime) -> None:
    assert Staged("x", 1.0) == runtime.stage(b'"x"', b"bad")


def test_an_item_has_its_seed_whether_it_is_resumed_or_begins_anew(load: Load) -> None:
    runtime = load(SOURCE + "    def seed(self, item, seed): return f'{item}{seed}'\n")

    assert Staged("x7, half", 1.0) == runtime.stage(b'"x"', b", half", 7)
    assert Staged("x7", 1.0) == runtime.stage(b'"x"', b"bad", 7)


@pytest.mark.parametrize("hook", ["checkpoint", "resume"])
def test_one_of_the_two_hooks_alone_is_a_mistake(load: Load, hook: str) -> None:
    source = SOURCE.replace(f"def {hook}(", "def unused(")

    with pytest.raises(InvalidModel, match="checkpoint and resume belong together"):
        load(source)


def test_a_model_without_the_hooks_keeps_nothing_and_ignores_what_was_kept(load: Load) -> None:
    plain = load("class M(Model):\n    def forward(self, batch: list[str]) -> list[str]: return batch\n")

    assert Staged("x", 1.0) == plain.stage(b'"x"', b"half")
    assert [] == plain.checkpoint()
