"""`headrace models …`: what it prints, and what it exits with."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.settings import get_settings
from registry.__main__ import app
from tests.model_folder import DOUBLER, write_model
from workers.check import app as check_app
from workers.check import difference


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model, with an empty registry in the settings."""
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    get_settings.cache_clear()
    return write_model(tmp_path / "Doubler")


def run(*args: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    return result.exit_code, result.output


def run_check(*args: object) -> tuple[int, str]:
    result = CliRunner().invoke(check_app, [str(arg) for arg in args])
    return result.exit_code, result.output


def test_push_names_the_model_after_its_folder_and_says_what_serves(folder: Path) -> None:
    code, output = run("push", folder)

    assert code == 0
    assert "published doubler@1: 1 file, " in output
    assert "serving @1 100%" in output


def test_push_says_when_nothing_changed(folder: Path) -> None:
    run("push", folder)

    assert "unchanged doubler@1" in run("push", folder)[1]


def test_push_without_release_says_so(folder: Path) -> None:
    assert "not released" in run("push", folder, "--no-release")[1]
    assert "no model is released" in run("ls")[1]


def test_push_takes_a_name_an_entry_and_additions(folder: Path) -> None:
    code, output = run(
        "push", folder, "--name", "twice", "--entry", "model.py:Doubler", "--add", f"w={folder / 'model.py'}", "--json"
    )

    assert code == 0
    shown = json.loads(output)
    assert (shown["name"], shown["version"], shown["routes"], shown["is_new"]) == ("twice", 1, {"1": 100}, True)
    assert [file["path"] for file in json.loads(run("show", "twice", "--json")[1])["files"]] == ["model.py", "w"]


def test_ls_lists_the_released_models(folder: Path) -> None:
    run("push", folder)

    assert "Doubles numbers." in run("ls")[1]
    assert [model["name"] for model in json.loads(run("ls", "--json")[1])] == ["doubler"]


def test_show_shows_the_released_version_or_the_one_asked_for(folder: Path) -> None:
    run("push", folder)
    write_model(folder, DOUBLER.replace("max_batch=8", "max_batch=9"))
    run("push", folder, "--no-release")

    assert [json.loads(run("show", name, "--json")[1])["max_batch"] for name in ("doubler", "doubler@2")] == [8, 9]
    assert "versions 1, 2" in run("show", "doubler")[1]


def test_show_says_whether_a_version_takes_a_seed(folder: Path) -> None:
    run("push", folder)
    write_model(folder, DOUBLER + "    def seed(self, item, seed): return seed\n")
    run("push", folder)

    assert [False, True] == [json.loads(run("show", f"doubler@{n}", "--json")[1])["takes_seed"] for n in (1, 2)]
    assert ["takes a seed" in run("show", f"doubler@{n}")[1] for n in (1, 2)] == [False, True]


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("show", "nothing"), 1, "there is no model 'nothing'"),
        (("show", "nothing@3"), 1, "there is no model nothing@3"),
        (("show", "nothing@x"), 2, "is not a model version"),
        (("push", "nowhere"), 1, "nowhere is no folder"),
        (("push", ".", "--add", "weights"), 2, "--add weights should be NAME=PATH"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_done_is_said_in_one_sentence(args: tuple[str, ...], code: int, says: str) -> None:
    exit_code, output = run(*args)

    assert exit_code == code
    assert says in output
    assert len(output.splitlines()) == 1


def test_check_passes_a_model_that_batches_correctly(folder: Path) -> None:
    code, output = run_check(folder)

    assert code == 0
    assert "a batch of 8 gives what each example gives alone" in output


def test_check_measures_a_pass_of_each_batch_size(folder: Path) -> None:
    table = run_check(folder)[1]
    timing = json.loads(run_check(folder, "--json")[1])["timing"]

    assert [1, 2, 4, 8] == [row["batch"] for row in timing]
    assert all(row["per_s"] == pytest.approx(1000 * row["batch"] / row["pass_ms"]) for row in timing)
    assert ("items/s" in table, "items/s" in run_check(folder, "--no-timing")[1]) == (True, False)


def test_check_finds_a_model_whose_items_see_one_another(tmp_path: Path) -> None:
    source = """
    class Leaky(Model):
        examples = [1.0, 2.0]
        def forward(self, batch: list[float]) -> list[float]: return [x / sum(batch) for x in batch]
    """
    code, output = run_check(write_model(tmp_path, source), "--json")

    assert code == 1
    findings = {finding["check"]: finding for finding in json.loads(output)["findings"]}
    assert [name for name, finding in findings.items() if not finding["ok"]] == [
        "a batch of 32 gives what each example gives alone"
    ]


def test_check_finds_a_model_that_comes_back_from_host_memory_as_another(tmp_path: Path) -> None:
    source = """
    class Forgetful(Model):
        examples = [1.0]
        factor = 2.0
        def to_host(self): self.factor = None
        def to_device(self, device): self.factor = 3.0
        def forward(self, batch: list[float]) -> list[float]: return [x * self.factor for x in batch]
    """
    _, output = run_check(write_model(tmp_path, source), "--json")

    found = {finding["check"]: finding["ok"] for finding in json.loads(output)["findings"]}
    assert [name for name, ok in found.items() if not ok] == [
        "what comes back from host memory gives what it gave before"
    ]


SEEDED = """
    import random
    class Dice(Model):
        examples = [6, 20]
        def preprocess(self, item: int) -> list: return [item, None]
        def seed(self, item, seed): return [item[0], {kept}]
        def forward(self, batch: list) -> list: return [{drawn} for item in batch]
        def postprocess(self, row: float) -> float: return row
"""


@pytest.mark.parametrize(
    ("kept", "drawn", "wrong"),
    [
        ("seed", "random.Random(item[1]).random()", []),
        ("random.Random(seed)", "(item[1] or random).random()", ["a seed gives the same in a repeated pass"]),
        ("seed", "item[0]", ["a seed gives the same in a repeated pass"]),
        ("seed", "random.Random(batch[0][1]).random()", ["a batch of 32 gives what each example gives alone"]),
        (
            "seed",
            "random.random()",
            ["a batch of 32 gives what each example gives alone", "a seed gives the same in a repeated pass"],
        ),
    ],
    ids=["heeded", "a generator goes on", "unused", "of the first in the batch", "not heeded"],
)
def test_check_finds_a_model_that_does_not_heed_seeds(tmp_path: Path, kept: str, drawn: str, wrong: list[str]) -> None:
    _, output = run_check(write_model(tmp_path, SEEDED.format(kept=kept, drawn=drawn)), "--json", "--no-timing")

    found = {finding["check"].partition(",")[0]: finding["ok"] for finding in json.loads(output)["findings"]}
    assert wrong == [name for name, ok in found.items() if not ok]


def test_check_says_with_which_seed_an_example_fails(tmp_path: Path) -> None:
    source = """
    import numpy as np
    class Old(Model):
        examples = [1]
        def preprocess(self, item: int) -> list: return [item, None]
        def seed(self, item, seed): return [item[0], np.random.RandomState(seed)]
        def forward(self, batch: list) -> list: return [0.0 for _ in batch]
        def postprocess(self, row: float) -> float: return row
    """
    code, output = run_check(write_model(tmp_path, source))

    assert code == 1
    assert "example 1 fails with the seed 9007199254740991" in output
    assert "between 0 and 2**32 - 1" in output


def test_check_finds_results_outside_the_output_schema(tmp_path: Path) -> None:
    source = """
    class M(Model):
        examples = [b"1", b"22"]
        def forward(self, batch: list[bytes]) -> list[bytes]: return [b"not json" for _ in batch]
    """
    code, output = run_check(write_model(tmp_path, source))

    assert code == 1
    assert "is not JSON" in output


def test_check_finds_a_cost_that_is_no_number(tmp_path: Path) -> None:
    source = (
        "class M(Model):\n    examples = [1, 2]\n    def forward(self, batch: list[int]) -> list[int]: return batch\n"
    )
    cost = "    def cost(self, item): return 'much'\n"
    code, output = run_check(write_model(tmp_path, source + cost))

    assert code == 1
    assert "cost is a whole number from 0: examples cost 'much', 'much'" in output


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("class M(Model):\n    def forward(self, batch: list[int]) -> list[int]: return batch", "has no examples"),
        (DOUBLER.replace("return row", "return 'x'"), "an example fails"),
        (
            f"{DOUBLER}\n    def load(self, files, device): files.missing\n",
            "load failed: AttributeError: 'PosixPath' object has no attribute 'missing' (model.py, line ",
        ),
    ],
)
def test_check_says_why_a_model_cannot_be_loaded(tmp_path: Path, source: str, says: str) -> None:
    code, output = run_check(write_model(tmp_path, source))

    assert code == 1
    assert says in output


def test_what_cannot_be_imported_is_told_with_its_line_however_the_folder_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "m", "import nowhere_to_be_found\n")
    monkeypatch.chdir(tmp_path)

    assert "No module named 'nowhere_to_be_found' (model.py, line 6)" in run_check("m")[1]


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.2),
        ({"a": 1}, {"a": 1.5}, 0.5 / 1.5),
        (1000, 1001, 1 / 1001),
        (0.0, 0.001, 0.001),
        ("x", "x", 0.0),
        ("x", "y", float("inf")),
        ([1], [1, 2], float("inf")),
        ({"a": 1}, {"b": 1}, float("inf")),
        (True, 1, 0.0),
        (None, 0, float("inf")),
    ],
)
def test_difference_is_the_smaller_of_absolute_and_relative(one: object, other: object, apart: float) -> None:
    assert difference(one, other) == pytest.approx(apart)


@pytest.fixture
def two_versions(folder: Path) -> Path:
    run("push", folder)
    write_model(folder, DOUBLER.replace("max_batch=8", "max_batch=9"))
    run("push", folder, "--no-release")
    return folder


@pytest.mark.usefixtures("two_versions")
def test_a_canary_is_promoted_and_rolled_back_with_one_command_each() -> None:
    said = [
        run("canary", "doubler@2", "--percent", 10)[1],
        run("promote", "doubler@2", "--why", "no complaints")[1],
        run("rollback", "doubler")[1],
    ]

    assert said == [
        "doubler release 2: serving @1 90%, @2 10%\n",
        "doubler release 3: serving @2 100%\n",
        "doubler release 4: serving @1 90%, @2 10%\n",
    ]


@pytest.mark.usefixtures("two_versions")
def test_a_shadow_comes_and_goes_with_one_command_each() -> None:
    said = [
        run("shadow", "doubler@2", "--percent", 25)[1],
        run("promote", "doubler@2")[1],
        run("rollback", "doubler")[1],
        run("shadow", "doubler@2", "--percent", 0)[1],
    ]

    assert said == [
        "doubler release 2: serving @1 100%, @2 shadows 25%\n",
        "doubler release 3: serving @2 100%\n",
        "doubler release 4: serving @1 100%, @2 shadows 25%\n",
        "doubler release 5: serving @1 100%\n",
    ]


@pytest.mark.usefixtures("two_versions")
def test_the_log_says_what_served_who_said_so_and_why() -> None:
    run("alias", "doubler", "stable", 1)
    why = "faster by a third on the machines of the night, and nobody complained of it in a week"
    run("promote", "doubler@2", "--why", why)

    entries = json.loads(run("log", "doubler", "--json")[1])

    assert [(why, {"1": 0, "2": 100}), ("@stable", {"1": 100}), ("pushed", {"1": 100})] == [
        (entry["why"], entry["routes"]) for entry in entries
    ]
    assert "stable=1" in run("log", "doubler")[1]
    assert f"{why}  {entries[0]['at']}" in run("log", "doubler")[1]


@pytest.mark.usefixtures("two_versions")
def test_a_change_of_traffic_that_makes_no_sense_is_wrong_usage() -> None:
    assert run("withdraw", "doubler@1")[0] == 2
    assert run("canary", "doubler@2", "--percent", 100)[0] == 2
    assert run("shadow", "doubler@1")[0] == 2
    assert run("promote", "doubler@7")[0] == 1
