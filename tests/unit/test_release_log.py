"""The release log: every change is an entry, and going back is another one."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headrace.errors import InvalidInput, ModelNotFound
from headrace.model_ref import ModelRef
from registry.registry import Registry
from registry.served import read_served, unknown_version
from tests.model_folder import DOUBLER, write_model


@pytest.fixture
def url(tmp_path: Path) -> str:
    return (tmp_path / "store").as_uri()


@pytest.fixture
def registry(url: str, tmp_path: Path) -> Registry:
    """Three versions of one model; the first has all traffic."""
    registry = Registry(url=url)
    for size in (1, 2, 3):
        folder = write_model(tmp_path / "doubler", DOUBLER.replace("max_batch=8", f"max_batch={size}"))
        registry.push(folder, name="doubler", release=size == 1)
    return registry


def ref(version: int) -> ModelRef:
    return ModelRef("doubler", version)


def routes(registry: Registry) -> dict[int, int]:
    return registry.releases()["doubler"].routes


def test_a_canary_is_an_entry_with_the_whole_table_who_and_why(registry: Registry) -> None:
    release = registry.canary(ref(2), percent=10)

    assert (2, {1: 90, 2: 10}, "canary of 10 %") == (release.seq, release.routes, release.why)
    assert release.by != ""
    assert routes(registry) == {1: 90, 2: 10}


def test_what_changes_nothing_is_no_entry(registry: Registry) -> None:
    assert registry.canary(ref(2), percent=10) == registry.canary(ref(2), percent=10)
    assert [1, 2] == [entry.seq for entry in registry.log.entries("doubler")]


def test_a_rollback_puts_the_table_before_in_force_and_again_the_one_before_that(registry: Registry) -> None:
    registry.canary(ref(2), percent=10)
    registry.release(ref(3))

    first = registry.log.roll_back("doubler")
    second = registry.log.roll_back("doubler", why="worse still")

    assert ({1: 90, 2: 10}, 2, "rolled back") == (first.routes, first.restores, first.why)
    assert ({1: 100}, 1, "worse still") == (second.routes, second.restores, second.why)
    with pytest.raises(InvalidInput, match="no earlier release"):
        registry.log.roll_back("doubler")


def test_a_rollback_goes_to_any_entry_of_the_log(registry: Registry) -> None:
    registry.release(ref(2))
    registry.release(ref(3))

    assert registry.log.roll_back("doubler", to=1).routes == {1: 100}
    with pytest.raises(InvalidInput, match="there is no release 9; there are 1, 2, 3, 4"):
        registry.log.roll_back("doubler", to=9)


def test_a_model_that_was_never_released_has_no_log(registry: Registry) -> None:
    for ask in (
        lambda: registry.log.entries("nobody"),
        lambda: registry.log.roll_back("nobody"),
        lambda: registry.canary(ModelRef("nobody", 1), percent=5),
    ):
        with pytest.raises(ModelNotFound):
            ask()


def test_changes_that_race_are_all_entries_in_one_order(registry: Registry, url: str) -> None:
    def change(number: int) -> int:
        return Registry(url=url).alias("doubler", f"a{number}", 1).seq

    with ThreadPoolExecutor(8) as pool:
        seqs = sorted(pool.map(change, range(16)))

    assert list(range(2, 18)) == seqs
    assert {f"a{number}": 1 for number in range(16)} == registry.releases()["doubler"].aliases


def test_a_job_can_ask_for_an_alias(registry: Registry) -> None:
    registry.alias("doubler", "next", 2)

    models, problem = read_served(registry, {})
    served = models["doubler"].find("next")

    assert ("", ref(2)) == (problem, served and served.ref)
    assert models["doubler"].pick("any id").ref == ref(1)
    assert "doubler@2, doubler@next" in str(unknown_version("doubler@prod", models["doubler"]))


def test_an_alias_needs_a_version_that_exists(registry: Registry) -> None:
    with pytest.raises(ModelNotFound):
        registry.alias("doubler", "next", 9)
