"""The catalog over a real registry's shapes: which version a job gets, what is refused, what an outage leaves known."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from api.catalog import Catalog
from headrace.errors import InvalidInput, InvalidModel, ModelFilesError, ModelNotFound
from headrace.model_ref import ModelRef
from registry.manifest import Manifest
from registry.registry import Registry
from registry.release import Release
from registry.served import ServedVersion


def manifest(ref: ModelRef, schema: dict[str, Any] | None = None) -> Manifest:
    return Manifest(
        name=ref.name,
        version=ref.version,
        entry="model.py:M",
        files=(),
        input_schema={} if schema is None else schema,
        output_schema={},
        max_batch=4,
        examples=[],
        description="",
        created="2026-01-01T00:00:00Z",
    )


class Shelf(Registry):
    """A registry whose content a test changes at will, and which may be out of order."""

    def __init__(self) -> None:
        super().__init__(url="memory://")
        self.routes: dict[str, dict[int, int]] = {}
        self.trouble: Exception | None = None
        self.broken: set[ModelRef] = set()
        self.looks = 0

    def releases(self) -> dict[str, Release]:
        self.looks += 1
        if self.trouble:
            raise self.trouble
        return {
            name: Release(seq=1, model=name, routes=routes, by="test", at="2026-01-01T00:00:00Z")
            for name, routes in self.routes.items()
        }

    def manifest(self, ref: ModelRef) -> Manifest:
        if ref in self.broken:
            raise ModelFilesError(f"{ref} is damaged")
        return manifest(ref)


@pytest.fixture
def shelf() -> Shelf:
    shelf = Shelf()
    shelf.routes = {"scorer": {1: 90, 2: 10, 3: 0}}
    return shelf


@pytest.fixture
async def catalog(shelf: Shelf) -> Catalog:
    catalog = Catalog(registry=shelf, poll_s=3600)
    await catalog.refresh()
    return catalog


async def test_versions_get_their_shares_and_an_id_always_the_same_one(catalog: Catalog) -> None:
    ids = [f"c1-{i}" for i in range(5000)]

    picks = [(await catalog.version_for("scorer", job_id)).ref.version for job_id in ids]
    again = [(await catalog.version_for("scorer", job_id)).ref.version for job_id in ids]

    shares = Counter(picks)
    assert picks == again
    assert shares.keys() == {1, 2}
    assert abs(shares[2] / len(ids) - 0.1) < 0.02


async def test_a_version_without_traffic_can_be_named(catalog: Catalog) -> None:
    assert (await catalog.version_for("scorer@3", "c1-x")).ref == ModelRef("scorer", 3)


@pytest.mark.parametrize("text", ["scorer@4", "scorer@", "scorer@01", "scorer@x", "Scorer", "", "scorer@1@2"])
async def test_what_is_not_released_is_refused(catalog: Catalog, text: str) -> None:
    with pytest.raises(ModelNotFound, match=r"released|known") as refused:
        await catalog.version_for(text, "c1-x")

    assert refused.value.fields[0].pointer == "/model"


async def test_unknown_names_make_at_most_one_look_for_all_who_ask_at_once(catalog: Catalog, shelf: Shelf) -> None:
    looks = shelf.looks

    answers = await asyncio.gather(*(catalog.find(f"nobody{i}") for i in range(50)), return_exceptions=True)

    assert {type(answer) for answer in answers} == {ModelNotFound}
    assert shelf.looks - looks == 1


async def test_a_new_model_is_found_by_asking_for_it(catalog: Catalog, shelf: Shelf) -> None:
    with pytest.raises(ModelNotFound):
        await catalog.find("newcomer")
    shelf.routes["newcomer"] = {1: 1}

    assert (await catalog.find("newcomer")).current.ref == ModelRef("newcomer", 1)


async def test_an_outage_of_the_registry_leaves_known_what_was_known(catalog: Catalog, shelf: Shelf) -> None:
    shelf.trouble = OSError("the disk is gone")
    await catalog.refresh()
    during = catalog.problem
    shelf.trouble = None
    await catalog.refresh()

    assert "the disk is gone" in during
    assert [model.current.ref.name for model in catalog.models()] == ["scorer"]
    assert not catalog.problem


async def test_one_damaged_model_does_not_hide_the_others(catalog: Catalog, shelf: Shelf) -> None:
    shelf.routes["damaged"] = {1: 1}
    shelf.broken.add(ModelRef("damaged", 1))
    await catalog.refresh()

    assert [model.current.ref.name for model in catalog.models()] == ["scorer"]
    assert "damaged@1" in catalog.problem


SCHEMA = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "tags": {"type": "array", "items": {"enum": ["a", "b"]}}},
    "required": ["text"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "pointers"),
    [
        ({"text": 1}, ["/input/text"]),
        ({}, ["/input/text"]),
        ({"text": "", "x/y": 1, "z": 2}, ["/input/x~1y", "/input/z"]),
        ({"text": "", "tags": ["a", "c"]}, ["/input/tags/1"]),
        ([], ["/input"]),
    ],
)
def test_each_field_that_does_not_fit_is_pointed_at(value: Any, pointers: list[str]) -> None:
    version = ServedVersion(manifest(ModelRef("m", 1), SCHEMA))

    with pytest.raises(InvalidInput) as refused:
        version.check(value)

    assert pointers == [field.pointer for field in refused.value.fields]


def test_a_schema_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidModel, match="m@1"):
        ServedVersion(manifest(ModelRef("m", 1), {"type": "nonsense"}))
