"""A batch through an author's hooks: each input gets its own end, and none can spoil another's."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from headrace.errors import InputError, InvalidModel
from headrace.jobs import Cause
from tests.model_folder import DOUBLER, load_model
from workers.failures import MAX_DETAIL
from workers.runtime import Runtime, Staged

Load = Callable[..., Runtime]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write, push, fetch and load a model."""

    return lambda source=DOUBLER, name="": load_model(tmp_path, source, name=name)


def ends(runtime: Runtime, *inputs: object) -> list[Any]:
    """What became of inputs: a result, or the cause of failure in angle brackets."""
    results = runtime.run([json.dumps(value).encode() for value in inputs])
    return [json.loads(result.body) if result.ok else f"<{result.cause}>" for result in results]


def detail(runtime: Runtime, value: object) -> str:
    [result] = runtime.run([json.dumps(value).encode()])
    return str(json.loads(result.body)["detail"])


def numbers(*values: int) -> list[dict[str, int]]:
    return [{"value": value} for value in values]


def one_hook(hook: str, *, hints: str = "list[int]) -> list[int]", top: str = "") -> str:
    """A model of nothing but `forward`, whose body is `hook`."""
    return f"{top}\nclass M(Model, max_batch=8):\n    def forward(self, batch: {hints}: {hook}\n"


def test_every_input_gets_its_result_in_order(load: Load) -> None:
    assert ends(load(), *numbers(3, 1, 2)) == [6, 2, 4]


def test_an_empty_batch_has_no_results(load: Load) -> None:
    assert load().run([]) == []


def test_inputs_that_do_not_fit_or_are_refused_fail_alone(load: Load) -> None:
    runtime = load()

    assert ends(runtime, {"value": 1}, {"value": "x"}, {"value": -1}, {}, {"value": 2}) == [
        2,
        "<input>",
        "<input>",
        "<input>",
        4,
    ]
    assert detail(runtime, {"value": "x"}).startswith("the input does not fit the model's schema: value: ")
    assert detail(runtime, {"value": -1}) == "value is negative"


def test_prepare_raises_for_an_input_that_is_not_json(load: Load) -> None:
    with pytest.raises(InputError, match="does not fit"):
        load().prepare(b"{")


#: Refuses 2 among others by an exception in its place; several in which there is a 3 make it raise.
TOGETHER = """
class M(Model, max_batch=8):
    def preprocess(self, item: int) -> list:
        if item in (2, 3):
            raise InputError("two or three")
        return [item, "alone"]

    def preprocess_all(self, items):
        if 3 in items:
            raise RuntimeError("three")
        return [InputError("two") if item == 2 else [item, "together"] for item in items]

    def cost(self, item): return item[0]

    def forward(self, batch: list) -> list[list]:
        return batch
"""


def test_several_inputs_are_preprocessed_in_one_call_and_one_by_itself(load: Load) -> None:
    runtime = load(TOGETHER)

    assert [[5, "together"], [4, "together"]] == ends(runtime, 5, 4)
    assert [[5, "alone"]] == ends(runtime, 5)
    assert Staged([7, "together"], 7.0) == runtime.stage_all([(b"7", b"", None), (b"1", b"", None)])[0]


#: A row is what its item is made of: the input, and the seed.
SEEDED = """
class M(Model, max_batch=8):
    def preprocess(self, item: int) -> list:
        return [item]

    def seed(self, item, seed):
        if seed == 13:
            raise InputError("thirteen")
        return [*item, seed]

    def cost(self, item): return len(item)

    def forward(self, batch: list) -> list[list]:
        return batch
"""
#: The same, of a model that preprocesses several inputs in one call.
SEEDED_TOGETHER = SEEDED + "    def preprocess_all(self, items): return [[item, 'together'] for item in items]\n"


def seeded_ends(runtime: Runtime, **seeds: int | None) -> list[Any]:
    """What became of the inputs 0, 1, … with these seeds."""
    raws = [b"%d" % number for number in range(len(seeds))]
    results = runtime.run(raws, list(seeds.values()))
    return [json.loads(result.body) if result.ok else f"<{result.cause}>" for result in results]


def test_a_seed_reaches_the_item_of_its_job_and_no_other(load: Load) -> None:
    assert [[0, 7], [1], [2, 0], "<input>"] == seeded_ends(load(SEEDED), a=7, b=None, c=0, d=13)
    assert Staged([5, 7], 2.0) == load(SEEDED).stage(b"5", b"", 7)


def test_a_seed_reaches_what_was_preprocessed_with_others(load: Load) -> None:
    runtime = load(SEEDED_TOGETHER)

    assert [[0, "together", 7], [1, "together"], "<input>"] == seeded_ends(runtime, a=7, b=None, c=13)


def test_a_model_without_the_hook_runs_jobs_with_a_seed_like_others(load: Load) -> None:
    runtime = load(SEEDED.replace("def seed", "def other"))

    assert [[0], [1]] == seeded_ends(runtime, a=7, b=None)


def test_what_was_called_seed_before_there_was_the_hook_is_none(load: Load) -> None:
    runtime = load(SEEDED)
    old = runtime.manifest.model_copy(update={"takes_seed": False})

    before = Runtime(model=runtime._model, manifest=old, device="cpu", memory=runtime.memory)

    assert [[0], [1]] == seeded_ends(before, a=7, b=None)


def test_of_several_inputs_those_that_are_refused_fail_alone(load: Load) -> None:
    assert [[5, "together"], "<input>", "<input>", [4, "together"]] == ends(load(TOGETHER), 5, "x", 2, 4)


def test_where_several_cannot_be_preprocessed_in_one_call_each_is_by_itself(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = load(TOGETHER)

    assert [[5, "alone"], "<input>", [4, "alone"]] == ends(runtime, 5, 3, 4) == ends(runtime, 5, 3, 4)
    assert 1 == caplog.text.count("preprocess_all failed")


def test_a_call_that_does_not_give_one_item_for_each_input_counts_as_failed(load: Load) -> None:
    runtime = load(TOGETHER.replace('"together"] for', '"together"] for _ in (1, 2) for'))

    assert [[5, "alone"], [4, "alone"]] == ends(runtime, 5, 4)


def test_a_subclass_that_preprocesses_anew_is_not_overtaken_by_what_it_inherits(load: Load) -> None:
    runtime = load(TOGETHER + "class N(M):\n    def preprocess(self, item: int) -> list: return [item, 'anew']\n", "N")

    assert not runtime.stages_together
    assert [[5, "anew"], [4, "anew"]] == ends(runtime, 5, 4)


@pytest.mark.parametrize("place", range(8))
def test_the_culprit_of_a_failing_batch_is_found_and_the_others_succeed(load: Load, place: int) -> None:
    values = [1, 2, 3, 4, 5, 6, 7, 8]
    values[place] = 13

    expected = [2 * value for value in values]
    assert ends(load(), *numbers(*values)) == [*expected[:place], "<model>", *expected[place + 1 :]]


def test_a_failure_says_what_was_raised_in_few_words(load: Load) -> None:
    runtime = load(one_hook("raise ValueError('x' * 9999)"))

    assert detail(runtime, 1).startswith("ValueError: xxx")
    assert len(detail(runtime, 1)) == MAX_DETAIL


def test_the_same_failure_is_logged_with_its_traceback_once(load: Load, caplog: pytest.LogCaptureFixture) -> None:
    runtime = load()

    for _ in range(3):
        ends(runtime, *numbers(13))

    assert len(caplog.records) == 1
    assert "thirteen" in caplog.text
    assert "Traceback" in caplog.text


def test_an_exception_in_a_slot_fails_that_item(load: Load) -> None:
    runtime = load(one_hook("return [InputError('no') if x == 2 else KeyError(x) if x == 3 else x for x in batch]"))

    assert ends(runtime, 1, 2, 3, 4) == [1, "<input>", "<model>", 4]


@pytest.mark.parametrize(
    ("raw", "pointer", "code"),
    [(b'{"a": "b"}', "/input/a", "schema.int_parsing"), (b'{"a": 0}', "/input/a/~1", "invalid")],
    ids=["by the schema", "by a hook"],
)
def test_a_refused_input_is_pointed_to_as_its_submitter_sees_it(
    load: Load, raw: bytes, pointer: str, code: str
) -> None:
    runtime = load("""
    from headrace.errors import FieldError
    class M(Model):
        def preprocess(self, item: dict[str, int]) -> int:
            if not item["a"]: raise InputError("no", fields=[FieldError("/a/~1", "is zero"), "not a field"])
            return item["a"]
        def forward(self, batch: list[int]) -> list[int]: return batch
    """)

    [result] = runtime.run([raw])
    [error] = orjson.loads(result.body)["errors"]

    assert (result.cause, error["pointer"], error["code"]) == (Cause.INPUT, pointer, code)


def test_hooks_for_one_item_that_raise_fail_that_item(load: Load) -> None:
    runtime = load("""
    class M(Model):
        def preprocess(self, item: int) -> int: return 1 // item
        def forward(self, batch: list[int]) -> list[int]: return batch
        def postprocess(self, row: int) -> float: return 1 / (row - 1)
    """)

    assert ends(runtime, 2, 0, 1) == [-1.0, "<model>", "<model>"]


@pytest.mark.parametrize(
    ("returned", "problem"),
    [
        ("batch[1:]", "forward returned 0 rows for 1 items"),
        ("batch * 2", "forward returned 2 rows for 1 items"),
        ("{x: x for x in batch}", "forward returned dict, not a list"),
        ("'abc'", "forward returned str, not a list"),
        ("(x for x in batch)", "forward returned generator, not a list"),
        ("None", "forward returned NoneType, not a list"),
    ],
)
def test_rows_that_are_not_one_per_item_fail_every_item(load: Load, returned: str, problem: str) -> None:
    results = load(one_hook(f"return {returned}")).run([b"1", b"2", b"3"])

    assert [result.cause for result in results] == ["model"] * 3
    assert problem in results[0].body.decode()


def test_an_item_whose_row_is_left_out_fails_alone(load: Load) -> None:
    runtime = load(one_hook("return [x for x in batch if x != 2]"))

    assert ends(runtime, 1, 2, 3, 4) == [1, "<model>", 3, 4]


def test_a_result_that_does_not_fit_its_hint_fails_that_item(load: Load) -> None:
    runtime = load(one_hook("return [x if x != 2 else 'two' for x in batch]"))

    assert ends(runtime, 1, 2, 3) == [1, "<model>", 3]
    assert "the result (str) does not fit its hint" in detail(runtime, 2)


def test_out_of_memory_halves_the_batch_and_fails_only_what_does_not_fit_alone(load: Load) -> None:
    hook = "import builtins\n        if len(batch) > 2 or 9 in batch: raise MemoryError\n        return batch"
    runtime = load(one_hook("\n        " + hook))

    assert ends(runtime, 1, 2, 3, 4, 9, 6) == [1, 2, 3, 4, "<oom>", 6]


def test_torch_out_of_memory_is_recognised_and_passes_run_without_gradients(load: Load) -> None:
    top = "import torch"
    hook = """
        assert torch.is_inference_mode_enabled()
        if len(batch) > 1 or batch[0] == 9: raise torch.OutOfMemoryError("no room")
        return batch"""

    assert ends(load(one_hook(hook, top=top)), 1, 9, 3) == [1, "<oom>", 3]


def test_a_lost_device_ends_the_process_rather_than_failing_every_job(load: Load) -> None:
    import torch

    runtime = load(one_hook("raise torch.AcceleratorError('device-side assert')", top="import torch"))

    with pytest.raises(torch.AcceleratorError):
        runtime.run([b"1", b"2"])


def test_json_text_passes_through_a_model_of_bytes(load: Load) -> None:
    runtime = load(one_hook("return batch", hints="list[bytes]) -> list[bytes]"))

    [result] = runtime.run([b'{"a" :  1}'])

    assert (result.ok, result.body) == (True, b'{"a" :  1}')


def test_a_model_of_bytes_must_return_bytes(load: Load) -> None:
    runtime = load(one_hook("return ['text' for _ in batch]", hints="list[bytes]) -> list[bytes]"))

    assert ends(runtime, 1) == ["<model>"]


def test_a_model_of_anything_gets_what_the_json_says(load: Load) -> None:
    runtime = load(one_hook("return [type(x).__name__ for x in batch]", hints="list[Any]) -> list[Any]"))

    assert ends(runtime, {"a": 1}, [1], None) == ["dict", "list", "NoneType"]


#: Answers the kind and the shape of the batch that `forward` got.
SHAPES = """
import numpy, torch
class M(Model):
    def preprocess(self, item: list[float]): return MAKE(item)
    def forward(self, batch): return [[type(batch).__name__, *getattr(batch, "shape", ())] for _ in batch]
    def postprocess(self, row) -> list[Any]: return row
"""


@pytest.mark.parametrize(
    ("make", "batch"),
    [
        ("numpy.array", ["ndarray", 2, 3]),
        ("torch.tensor", ["Tensor", 2, 3]),
        ("list", ["list"]),
    ],
)
def test_prepared_items_of_one_shape_reach_forward_stacked(load: Load, make: str, batch: list[Any]) -> None:
    runtime = load(SHAPES.replace("MAKE", make))

    assert ends(runtime, [1, 2, 3], [4, 5, 6]) == [batch, batch]


@pytest.mark.parametrize("make", ["numpy.array", "torch.tensor"])
def test_prepared_items_of_several_shapes_reach_forward_as_a_list(load: Load, make: str) -> None:
    runtime = load(SHAPES.replace("MAKE", make))

    assert ends(runtime, [1, 2, 3], [4, 5]) == [["list"], ["list"]]


@pytest.mark.parametrize("make", ["numpy.array", "torch.tensor"])
def test_rows_of_an_array_or_tensor_are_taken_apart(load: Load, make: str) -> None:
    runtime = load(f"""
    import numpy, torch
    class M(Model):
        def preprocess(self, item: float): return {make}(item)
        def forward(self, batch): return batch * 2
        def postprocess(self, row) -> float: return float(row)
    """)

    assert ends(runtime, 1.5, 2, 4) == [3.0, 4.0, 8.0]


@pytest.mark.parametrize("make", ["numpy.array", "torch.tensor"])
def test_an_array_without_rows_fails_the_batch(load: Load, make: str) -> None:
    hook = f"return {make}(1.0)"
    runtime = load(one_hook(hook, hints="list[float]) -> list[float]", top="import numpy, torch"))

    assert "forward returned 0 rows for 1 items" in detail(runtime, 1)


def test_loading_runs_the_examples_alone_and_as_a_full_batch(load: Load) -> None:
    runtime = load("""
    class M(Model, max_batch=5):
        examples = [7, 8]
        sizes: list[int] = []
        def load(self, files, device): self.sizes.append(len(list(files.glob("model.py"))))
        def forward(self, batch: list[int]) -> list[Any]:
            self.sizes.append(len(batch))
            return [list(self.sizes)] * len(batch)
    """)

    assert runtime.max_batch == 5
    assert ends(runtime, 1) == [[1, 1, 5, 1]]


def test_a_model_whose_example_fails_does_not_load(load: Load) -> None:
    source = "class M(Model):\n    examples = [1]\n    def forward(self, batch: list[int]) -> list[int]: return [1 / 0]"

    with pytest.raises(InvalidModel, match=r"m@1: an example fails: .*ZeroDivisionError"):
        load(source)


def test_two_versions_live_side_by_side(load: Load) -> None:
    one = load(one_hook("return [1 for _ in batch]"))
    two = load(one_hook("return [2 for _ in batch]"))

    assert ends(one, 0) + ends(two, 0) == [1, 2]


def test_the_runtime_imports_neither_torch_nor_numpy() -> None:
    code = "import sys, workers.runtime; print([name for name in ('torch', 'numpy', 'celery') if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"


GREEDY = """
class M(Model, max_batch=4):
    def cost(self, item: int): return item
    def forward(self, batch: list[int]) -> list[int]:
        if max(batch) > 5: raise MemoryError
        return batch
"""


def test_what_would_run_out_of_memory_is_spared_that_if_another_worker_can_run_it(load: Load) -> None:
    runtime = load(GREEDY)
    runtime.spares = True

    assert [1, "<oom>", 2] == ends(runtime, 1, 7, 2)
    assert ["<None>", 3, "<oom>"] == ends(runtime, 8, 3, 6)
    assert ["<None>", "<None>"] == ends(runtime, 8, 6)


def test_where_nobody_else_can_run_it_it_is_tried(load: Load) -> None:
    runtime = load(GREEDY)

    assert ["<oom>", "<oom>"] == ends(runtime, 7, 7)


def test_items_without_costs_of_their_own_are_never_spared(load: Load) -> None:
    runtime = load(GREEDY.replace("    def cost(self, item: int): return item\n", ""))
    runtime.spares = True

    assert ["<oom>"] == ends(runtime, 7)
    assert [1] == ends(runtime, 1)


PARKED = """
class M(Model):
    def load(self, files, device): self.at = device
    def to_host(self): self.at = "host"
    def to_device(self, device): self.at = device
    def forward(self, batch: list[str]) -> list[str]: return [self.at for _ in batch]
"""


def test_a_model_with_both_hooks_goes_to_host_memory_and_comes_back(load: Load) -> None:
    runtime = load(PARKED)

    runtime.to_host()
    away = ends(runtime, "x")
    runtime.to_device()

    assert runtime.can_park
    assert (["host"], ["cpu"]) == (away, ends(runtime, "x"))


def test_a_model_without_the_hooks_cannot_be_parked(load: Load) -> None:
    assert not load(one_hook("return batch")).can_park


@pytest.mark.parametrize("hook", ["to_host", "to_device"])
def test_one_of_the_hooks_for_host_memory_alone_is_a_mistake(load: Load, hook: str) -> None:
    with pytest.raises(InvalidModel, match="to_host and to_device belong together"):
        load(PARKED.replace(f"def {hook}(", "def unused("))
