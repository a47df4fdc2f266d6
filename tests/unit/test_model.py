"""What an author writes becomes a description: name, schemas, examples, or an error that names the hook."""

from pathlib import Path

import pytest

from headrace.errors import InvalidModel
from headrace.model import DEFAULT_MAX_BATCH, Model
from registry.description import describe, read_files
from registry.manifest import Manifest
from tests.model_folder import write_model


def described(folder: Path, source: str, *, entry: str | None = None) -> Manifest:
    write_model(folder, source)
    return describe(folder, read_files(folder), name="thing", entry=entry)


def test_max_batch_is_the_class_keyword_and_is_inherited() -> None:
    class Wide(Model, max_batch=7):
        pass

    class Child(Wide):
        pass

    assert (Model.max_batch, Wide.max_batch, Child.max_batch) == (DEFAULT_MAX_BATCH, 7, 7)


def test_a_model_with_forward_alone_has_the_schemas_of_its_list_items(tmp_path: Path) -> None:
    source = "class M(Model):\n    def forward(self, batch: list[int]) -> list[str]: return []"

    manifest = described(tmp_path, source)

    assert (manifest.input_schema, manifest.output_schema) == ({"type": "integer"}, {"type": "string"})


def test_the_first_hook_gives_the_input_and_the_last_one_the_output(tmp_path: Path) -> None:
    source = """
    class M(Model):
        def preprocess(self, item: str): return len(item)
        def forward(self, batch): return batch
        def postprocess(self, row) -> list[float]: return [row]
    """

    manifest = described(tmp_path, source)

    assert manifest.input_schema == {"type": "string"}
    assert manifest.output_schema == {"type": "array", "items": {"type": "number"}}


def test_postponed_annotations_resolve(tmp_path: Path) -> None:
    folder = write_model(tmp_path)
    text = (folder / "model.py").read_text()
    (folder / "model.py").write_text(f"from __future__ import annotations\n{text}")

    manifest = describe(folder, read_files(folder), name="doubler")

    assert manifest.input_schema["required"] == ["value"]


def test_bytes_and_any_accept_any_json(tmp_path: Path) -> None:
    raw = described(tmp_path / "raw", "class M(Model):\n    def forward(self, b: list[bytes]) -> list[bytes]: return b")
    loose = described(tmp_path / "loose", "class M(Model):\n    def forward(self, b: list[Any]) -> list[Any]: return b")

    assert (raw.input_schema, raw.output_schema) == ({}, {})
    assert (loose.input_schema, loose.output_schema) == ({}, {})


def test_unknown_fields_are_refused_unless_the_author_allows_them(tmp_path: Path) -> None:
    source = """
    class Inner(BaseModel):
        a: int
    class Open(BaseModel, extra="ignore"):
        inner: Inner
    class M(Model):
        def forward(self, batch: list[Open]) -> list[int]: return []
    """

    schema = described(tmp_path, source).input_schema

    assert "additionalProperties" not in schema
    assert schema["$defs"]["Inner"]["additionalProperties"] is False


def test_examples_are_kept_as_json_and_the_docstring_as_description(tmp_path: Path) -> None:
    folder = write_model(tmp_path)

    manifest = describe(folder, read_files(folder), name="doubler")

    assert manifest.examples == [{"value": 1}, {"value": 20}]
    assert (manifest.description, manifest.max_batch, manifest.entry) == ("Doubles numbers.", 8, "model.py:Doubler")


def test_a_source_may_import_its_neighbours_and_leaves_no_bytecode(tmp_path: Path) -> None:
    source = """
    from .sizes import SIZE
    class M(Model, max_batch=SIZE):
        def forward(self, batch: list[int]) -> list[int]: return batch
    """
    folder = write_model(tmp_path, source, files={"sizes.py": "SIZE = 5\n"})

    manifest = describe(folder, read_files(folder), name="thing")

    assert manifest.max_batch == 5
    assert sorted(path.name for path in folder.iterdir()) == ["model.py", "sizes.py"]


def test_an_entry_chooses_among_several_models(tmp_path: Path) -> None:
    source = """
    class A(Model):
        def forward(self, batch: list[int]) -> list[int]: return batch
    class B(A, max_batch=3): pass
    """

    assert described(tmp_path, source, entry="model.py:B").max_batch == 3
    with pytest.raises(InvalidModel, match=r"one subclass of Model \(found: A, B\)"):
        described(tmp_path, source)


FORWARD = "    def forward(self, batch: list[int]) -> list[int]: return batch\n"


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("x = 1", "found: none"),
        ("import nowhere_to_be_found", "cannot be imported: ModuleNotFoundError"),
        ("class M(Model): pass", "M has no forward"),
        ("class M(Model):\n    def forward(self, batch) -> list[int]: ...", "M.forward: its argument needs"),
        ("class M(Model):\n    def forward(self, batch: list[int]): ...", "M.forward: it needs a return hint"),
        ("class M(Model):\n    def forward(self, batch: int) -> list[int]: ...", "M.forward: the hint <class 'int'>"),
        ("class M(Model):\n    def forward(self, b: list['Gone']) -> list[int]: ...", "M.forward: a type hint cannot"),
        ("class M(Model):\n    def forward(self, b: list[Model]) -> list[int]: ...", "M.forward: its hint has no JSON"),
        (f"class M(Model):\n{FORWARD}    def preprocess(self, item): ...", "M.preprocess: its argument needs"),
        (f"class M(Model):\n{FORWARD}    def postprocess(self, row): ...", "M.postprocess: it needs a return hint"),
        (f"class M(Model):\n    examples = ('x',)\n{FORWARD}", "M.examples: one does not fit"),
        (f"class M(Model, max_batch=0):\n{FORWARD}", "max_batch is 0"),
    ],
)
def test_a_model_that_cannot_be_served_is_refused_with_the_reason(tmp_path: Path, source: str, problem: str) -> None:
    with pytest.raises(InvalidModel, match=problem):
        described(tmp_path, source)


def test_a_name_must_fit_the_pattern(tmp_path: Path) -> None:
    folder = write_model(tmp_path)

    with pytest.raises(InvalidModel, match="'No good' cannot be a model's name"):
        describe(folder, read_files(folder), name="No good")
