"""The OpenAPI document is whole, with the schemas of released models, and the page that shows it needs no network."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import pytest
from fastapi import FastAPI

from api.model_schemas import with_models
from headrace.model_ref import ModelRef
from registry.registry import Registry
from registry.served import read_served

#: Two versions, the second refers to a part of its own schema.
FIRST = '''
from headrace.model import Model

class First(Model):
    """Doubles."""
    examples = [1.0]
    def forward(self, batch: list[float]) -> list[float]:
        return [2 * x for x in batch]
'''
SECOND = '''
from pydantic import BaseModel
from headrace.model import Model

class Node(BaseModel):
    default: str = ""
    parts: list["Node"] = []

class Second(Model):
    """Counts."""
    examples = [Node()]
    def forward(self, batch: list[Node]) -> list[int]:
        return [len(node.parts) for node in batch]
'''


def references(part: Any) -> Iterator[str]:
    match part:
        case dict():
            for key, value in part.items():
                if key == "$ref" and isinstance(value, str):
                    yield value
                else:
                    yield from references(value)
        case list():
            for one in part:
                yield from references(one)


def broken_references(document: dict[str, Any]) -> set[str]:
    schemas = document["components"]["schemas"]
    return {ref for ref in references(document) if ref.removeprefix("#/components/schemas/") not in schemas}


def fits(document: dict[str, Any], body: object) -> bool:
    schema = {"components": document["components"], "$ref": "#/components/schemas/SubmitBody"}
    return jsonschema_rs.is_valid(schema, body)


@pytest.fixture
def tree(app: FastAPI, tmp_path: Path) -> dict[str, Any]:
    """The document of an API to which two versions of `tree` are released, of which 1 is called `old`."""
    registry = Registry(url=(tmp_path / "registry").as_uri())
    for number, source in enumerate((FIRST, SECOND), 1):
        folder = tmp_path / f"v{number}"
        folder.mkdir()
        (folder / "model.py").write_text(source)
        registry.push(folder, name="tree")
    registry.canary(ModelRef("tree", 1), percent=10)
    registry.alias("tree", "old", 1)
    models, problem = read_served(registry, {})
    assert problem == ""
    app.openapi()
    assert app.openapi_schema is not None
    return with_models(app.openapi_schema, models.values())


async def test_the_document_shows_what_each_released_model_takes_and_gives(app: FastAPI) -> None:
    document = app.openapi()
    schemas = document["components"]["schemas"]

    assert schemas["greeter.1.input"]["properties"]["text"]["maxLength"] == 40_000
    assert schemas["greeter.1.output"] == {"type": "string"}
    assert fits(document, {"model": "greeter", "input": {"text": "hi"}, "options": {"tier": "spot"}})
    assert fits(document, {"model": "greeter@1", "input": {"text": "hi"}})
    assert not fits(document, {"model": "greeter", "input": {"text": 5}})
    assert not fits(document, {"model": "nobody", "input": {"text": "hi"}})
    assert not fits(document, {"model": "greeter", "input": {"text": "hi"}, "optoins": {}})


def test_references_inside_a_models_schema_lead_to_its_own_parts(tree: dict[str, Any]) -> None:
    assert fits(tree, {"model": "tree", "input": {"parts": [{"default": "leaf"}]}})
    assert not fits(tree, {"model": "tree", "input": {"parts": [{"default": 5}]}})
    assert not fits(tree, {"model": "tree", "input": 1.0})


def test_each_version_has_a_shape_of_its_own_also_under_its_aliases(tree: dict[str, Any]) -> None:
    assert fits(tree, {"model": "tree@2", "input": {}})
    assert fits(tree, {"model": "tree@1", "input": 1.0})
    assert fits(tree, {"model": "tree@old", "input": 1.0})
    assert not fits(tree, {"model": "tree@old", "input": {}})


def test_every_reference_of_the_document_leads_somewhere(app: FastAPI, tree: dict[str, Any]) -> None:
    assert broken_references(app.openapi()) == set()
    assert broken_references(tree) == set()


def test_operations_have_names_of_their_own_and_a_submission_links_to_what_can_be_done_next(app: FastAPI) -> None:
    operations = [operation for path in app.openapi()["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    [submit] = [operation for operation in operations if operation["operationId"] == "jobs_submit"]

    assert sorted(set(names)) == sorted(names)
    assert {"jobs_read", "jobs_result", "jobs_cancel"} <= set(submit["responses"]["202"]["links"])
    assert set(submit["responses"]["202"]["links"]) <= set(names)


async def test_whoever_opens_the_address_alone_is_led_to_the_page(api: httpx2.AsyncClient) -> None:
    answer = await api.get("/")

    assert (answer.status_code, answer.headers["location"]) == (307, "docs")


async def test_the_page_takes_nothing_from_elsewhere(api: httpx2.AsyncClient) -> None:
    page = await api.get("/docs")
    assets = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    answers = [await api.get(f"/{path}") for path in assets if not path.startswith("data:")]

    assert "://" not in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert [(200, True)] * 2 == [(answer.status_code, len(answer.content) > 100_000) for answer in answers]
    assert (await api.get("/docs/other.js")).json()["code"] == "not_found"


@pytest.mark.slow
def test_a_browser_without_a_network_draws_the_page(
    live_url: str, program: Callable[[str], str], tmp_path: Path
) -> None:
    where = os.environ.get("HEADRACE_SCREENSHOTS")
    picture = (Path(where) if where else tmp_path) / "docs.png"

    done = subprocess.run(
        [
            *(program("chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *(f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1400,1800", "--virtual-time-budget=8000"),
            *("--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", f"--screenshot={picture}", "--dump-dom"),
            f"{live_url}/docs",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=90,
    )

    assert "Submit a job" in done.stdout
    assert "Cancel a job" in done.stdout
    assert picture.stat().st_size > 20_000, "an empty page"
