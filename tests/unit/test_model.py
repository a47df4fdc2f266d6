"""What an author writes becomes a description: name, schemas, examples, or an error that names the hook."""

from pathlib import Path

import pytest

from headrace.errors import InvalidModel
from headrace.model import DEFAULT_MAX_BATCH, Model
from headrace.model_options import ModelOptions
from headrace.tiers import Tier
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


def test_options_are_class_keywords_and_a_subclass_inherits_what_it_does_not_say() -> None:
    class Wide(Model, max_cost=512, max_wait_ms=20, finite=True):
        pass

    class Child(Wide, max_cost=64, compile="default"):
        pass

    assert ModelOptions() == Model.options
    assert ModelOptions(max_cost=512, max_wait_ms={Tier.STANDARD: 20, Tier.SPOT: 20}, finite=True) == Wide.options
    assert (Child.options.max_cost, Child.options.finite, Child.options.compile) == (64, True, "default")


def test_a_version_says_with_which_options_it_runs(tmp_path: Path) -> None:
    source = """
    class M(Model, max_wait_ms={"spot": 250}, autocast="bfloat16"):
        def forward(self, batch: list[int]) -> list[int]: return batch
    """

    manifest = described(tmp_path, source)

    assert ModelOptions(max_wait_ms={Tier.SPOT: 250}, autocast="bfloat16") == manifest.options
    assert manifest == Manifest.model_validate_json(manifest.model_dump_json())


def test_a_version_published_before_there_were_options_has_the_defaults(tmp_path: Path) -> None:
    old = described(tmp_path, "class M(Model):\n    def forward(self, batch: list[int]) -> list[int]: return batch")

    assert ModelOptions() == Manifest.model_validate(old.model_dump(exclude={"options"})).options


@pytest.mark.parametrize(
    ("keyword", "problem"),
    [
        ("max_cost=0", "M: option max_cost=0: Input should be greater than 0"),
        ("max_wait_ms={'priority': 5}", "priority jobs never wait"),
        ("max_wait_ms=-1", "-1 is not between 0 and 60000"),
        ("autocast='int8'", "option autocast='int8'"),
        ("buckets=(8, 4)", "batch sizes must be positive and increase"),
        ("max_bach=8", "M: 'max_bach' is no option; did you mean max_batch?"),
        ("colour='red'", "M: 'colour' is no option; there are max_batch, max_cost, "),
    ],
)
def test_an_option_that_cannot_be_is_refused_by_name(tmp_path: Path, keyword: str, problem: str) -> None:
    with pytest.raises(InvalidModel) as raised:
        described(tmp_path, f"class M(Model, {keyword}):\n    def forward(self, batch: list[int]): return batch")

    assert problem in raised.value.detail


@pytest.mark.parametrize(
    ("buckets", "max_batch", "sizes"),
    [((), 1, (1,)), ((), 12, (1, 2, 4, 8, 12)), ((), 16, (1, 2, 4, 8, 16)), ((4, 32), 16, (4, 16)), ((4,), 4, (4,))],
)
def test_compiled_batches_come_in_few_sizes_of_which_the_largest_is_max_batch(
    buckets: tuple[int, ...], max_batch: int, sizes: tuple[int, ...]
) -> None:
    assert sizes == ModelOptions(buckets=buckets).bucket_sizes(max_batch)


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
        ("import nowhere_to_be_found", r"cannot be imported: ModuleNotFoundError: .* \(model.py, line \d+\)$"),
        ("class M(Model): pass", "M has no forward"),
        ("class M(Model):\n    def forward(self, batch) -> list[int]: ...", "M.forward: its argument needs"),
        ("class M(Model):\n    def forward(self, batch: list[int]): ...", "M.forward: it needs a return hint"),
        ("class M(Model):\n    def forward(self, batch: int) -> list[int]: ...", "M.forward: the hint <class 'int'>"),
        ("class M(Model):\n    def forward(self, b: list['Gone']) -> list[int]: ...", "M.forward: a type hint cannot"),
        ("class M(Model):\n    def forward(self, b: list[Model]) -> list[int]: ...", "M.forward: its hint has no JSON"),
        (f"class M(Model):\n{FORWARD}    def preprocess(self, item): ...", "M.preprocess: its argument needs"),
        (f"class M(Model):\n{FORWARD}    def preprocess_all(self, items): ...", "M: preprocess_all needs preprocess"),
        (f"class M(Model):\n{FORWARD}    def postprocess(self, row): ...", "M.postprocess: it needs a return hint"),
        (f"class M(Model):\n    examples = ('x',)\n{FORWARD}", "M.examples: one does not fit"),
        (f"class M(Model, max_batch=0):\n{FORWARD}", "max_batch is 0"),
    ],
)
def test_a_model_that_cannot_be_served_is_refused_with_the_reason(tmp_path: Path, source: str, problem: str) -> None:
    with pytest.raises(InvalidModel, match=problem):
        described(tmp_path, source)


def test_a_version_says_whether_its_jobs_may_bring_a_seed(tmp_path: Path) -> None:
    forward = "def forward(self, batch: list[int]) -> list[int]: return batch"
    plain = described(tmp_path / "plain", f"class M(Model):\n    {forward}")
    seeded = described(
        tmp_path / "seeded", f"class M(Model):\n    def seed(self, item, seed): return seed\n    {forward}"
    )

    assert (plain.takes_seed, seeded.takes_seed) == (False, True)
    assert plain.digest == plain.model_copy(update={"takes_seed": True}).digest
    assert not Manifest.model_validate(seeded.model_dump(exclude={"takes_seed"})).takes_seed


@pytest.mark.parametrize(
    "other", ["seed = 7", "def seed(self): return 7", "def seed(self, item, state, seed): return 7"]
)
def test_what_is_called_seed_and_is_no_hook_is_refused_at_the_push(tmp_path: Path, other: str) -> None:
    forward = "def forward(self, batch: list[int]) -> list[int]: return batch"

    with pytest.raises(InvalidModel, match=r"M\.seed is no hook; write it as `def seed"):
        described(tmp_path, f"class M(Model):\n    {other}\n    {forward}")


def test_a_name_must_fit_the_pattern(tmp_path: Path) -> None:
    folder = write_model(tmp_path)

    with pytest.raises(InvalidModel, match="'No good' cannot be a model's name"):
        describe(folder, read_files(folder), name="No good")
