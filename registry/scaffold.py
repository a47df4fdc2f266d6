"""Scaffold: a folder with a small model that works, and a test of it, to begin from."""

import re
from pathlib import Path

from headrace.errors import InvalidInput
from headrace.model_ref import NAME_PATTERN, valid_name

_MODEL = '''"""{name}: say here what it is for."""

from pathlib import Path

from pydantic import BaseModel, Field

from headrace.errors import InputError
from headrace.model import Model


class Input(BaseModel):
    """What one job brings: its fields become the schema that the API checks, and its documentation."""

    text: str = Field(max_length=4000, description="some words")


class Output(BaseModel):
    """What it gets back."""

    words: int = Field(ge=0)


class {kind}(Model, max_batch=32):
    """Counts words. This line is what callers read."""

    # They warm the model up, and `models check` compares them; take inputs of different length.
    examples = (Input(text="water turns the wheel"), Input(text="fine"))

    def load(self, files: Path, device: str) -> None:
        """Once per process: read weights from `files`, put them onto `device`."""

    def preprocess(self, item: Input) -> list[str]:
        """One input, on the CPU; raise InputError to refuse it without harm to the others of its batch."""
        if "\\0" in item.text:
            raise InputError("text has a zero byte in it")
        return item.text.split()

    def cost(self, item: list[str]) -> int:
        """What its time grows with, so that alike items share a batch."""
        return len(item)

    def forward(self, batch: list[list[str]]) -> list[int]:
        """The batch, in one pass: one row per item, in order."""
        return [len(words) for words in batch]

    def postprocess(self, row: int) -> Output:
        """One row becomes one result."""
        return Output(words=row)

    # Passes of minutes can go on elsewhere when their worker must leave: write `checkpoint` and `resume` then.
    # What is drawn at random can be drawn again: write `seed` then.
'''

_TEST = '''"""{name} batches correctly and knows its answers: `pytest {folder}`."""

import json
from pathlib import Path

from workers.check import check
from workers.tryout import from_folder

FOLDER = Path(__file__).parent


def test_it_conforms() -> None:
    assert [finding for finding in check(FOLDER) if not finding.ok] == []


def test_a_known_input_gives_its_known_result() -> None:
    with from_folder(FOLDER, entry=None, extra={{}}, device="cpu") as runtime:
        good, bad = runtime.run([json.dumps({{"text": text}}).encode() for text in ("two words", "\\0")])

    assert json.loads(good.body) == {{"words": 2}}
    assert not bad.ok
'''


def scaffold(folder: Path) -> None:
    """Write `model.py` and `test_model.py` into a new folder, which gives the model its name.

    Raises:
        InvalidInput: if no model can be called so, or something is there already.
    """
    name = folder.resolve().name.lower()
    if not valid_name(name):
        raise InvalidInput(f"'{name}' cannot be a model's name: it must match {NAME_PATTERN}")
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise InvalidInput(f"{folder} is there already; name a folder that is not") from None
    (folder / "model.py").write_text(_MODEL.format(name=name, kind=_class_name(name)))
    (folder / "test_model.py").write_text(_TEST.format(name=name, folder=folder))


def _class_name(name: str) -> str:
    """`spam-filter` as `SpamFilter`."""
    words = "".join(part.capitalize() for part in re.split(r"[^a-z0-9]+", name))
    return words if words.isidentifier() else f"Model{words}"
