"""The versions of a model: which get new jobs, what each is, and what it takes and gives."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace.model_ref import ModelRef
from registry.registry import Registry

SOURCE = '''
from headrace.model import Model

class Scaler(Model):
    """Scales."""
    examples = [1]
    def forward(self, batch: list[{takes}]) -> list[float]:
        return [{factor} * x for x in batch]
'''


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Six versions of `scaler`: 4 serves with 5 on trial, 2 shadows, 1 is called `old`; 3 and 6 are not released."""
    registry = Registry(url=(tmp_path / "scalers").as_uri())
    for number in range(1, 7):
        folder = tmp_path / f"v{number}"
        folder.mkdir()
        (folder / "model.py").write_text(SOURCE.format(takes="int" if number < 4 else "float", factor=number))
        registry.push(folder, name="scaler", release=number < 5)
    registry.canary(ModelRef("scaler", 5), percent=20)
    registry.alias("scaler", "old", 1)
    registry.shadow(ModelRef("scaler", 2), percent=10)
    return registry


@pytest.fixture
async def scaler(api_with: Callable[..., Any], registry: Registry, tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """Calls an API to which these versions are known."""
    assert registry.versions("scaler") == [1, 2, 3, 4, 5, 6]
    async with api_with(registry_url=(tmp_path / "scalers").as_uri(), registry_poll_s=3600) as api:
        yield api


async def versions(api: httpx2.AsyncClient, query: str = "") -> dict[str, Any]:
    document: dict[str, Any] = (await api.get(f"/v1/models/scaler/versions{query}")).json()
    return document


async def test_versions_are_listed_with_what_becomes_of_new_jobs(scaler: httpx2.AsyncClient) -> None:
    listed = (await versions(scaler))["versions"]

    assert [
        (6, "unreleased", 0, 0, []),
        (5, "canary", 0.2, 0, []),
        (4, "serving", 0.8, 0, []),
        (3, "unreleased", 0, 0, []),
        (2, "shadow", 0, 0.1, []),
        (1, "named", 0, 0, ["old"]),
    ] == [(it["version"], it["state"], it["share"], it["shadow_share"], it["aliases"]) for it in listed]


async def test_a_version_has_the_digest_and_the_age_of_its_manifest(
    scaler: httpx2.AsyncClient, registry: Registry
) -> None:
    newest = (await versions(scaler, "?limit=1"))["versions"][0]
    manifest = registry.manifest(ModelRef("scaler", 6))

    assert (manifest.digest, manifest.created, None) == (newest["digest"], newest["created"], newest["problem"])


async def test_versions_come_page_by_page(scaler: httpx2.AsyncClient) -> None:
    first = await versions(scaler, "?limit=4")
    second = await versions(scaler, f"?limit=4&before={first['next']}")

    assert [6, 5, 4, 3] == [version["version"] for version in first["versions"]]
    assert ([2, 1], None) == ([version["version"] for version in second["versions"]], second["next"])


@pytest.mark.usefixtures("registry")
async def test_a_damaged_version_says_so_and_hides_no_other(api_with: Callable[..., Any], tmp_path: Path) -> None:
    [manifest] = (tmp_path / "scalers").glob("models/scaler/versions/00000003/manifest.json")
    manifest.write_text("{")

    async with api_with(registry_url=(tmp_path / "scalers").as_uri()) as api:
        listed = (await versions(api))["versions"]

    assert [3] == [version["version"] for version in listed if version["problem"]]
    assert (None, None) == (listed[3]["digest"], listed[3]["created"])
    assert "is damaged" in listed[3]["problem"]


@pytest.mark.parametrize(
    ("query", "version", "takes"),
    [("", 4, "number"), ("?version=5", 5, "number"), ("?version=old", 1, "integer"), ("?version=3", 3, "integer")],
)
async def test_the_schema_of_a_version_is_shown(
    scaler: httpx2.AsyncClient, query: str, version: int, takes: str
) -> None:
    shown = (await scaler.get(f"/v1/models/scaler/schema{query}")).json()
    listed = (await versions(scaler))["versions"]

    assert (version, takes, "number") == (
        shown["version"],
        shown["input_schema"]["type"],
        shown["output_schema"]["type"],
    )
    assert [shown["digest"]] == [it["digest"] for it in listed if it["version"] == version]


async def test_links_lead_to_the_versions_and_their_schemas(scaler: httpx2.AsyncClient) -> None:
    model = (await scaler.get("/v1/models/scaler")).json()
    listed = (await scaler.get(model["links"]["versions"])).json()["versions"]
    shown = (await scaler.get(listed[0]["links"]["schema"])).json()

    assert (6, "scaler") == (shown["version"], shown["model"])
    assert model["input_schema"] == (await scaler.get(model["links"]["schema"])).json()["input_schema"]


@pytest.mark.parametrize(
    "path", ["nobody/versions", "nobody/schema", "scaler/schema?version=7", "scaler/schema?version=new"]
)
async def test_what_is_not_there_is_404(scaler: httpx2.AsyncClient, path: str) -> None:
    answer = await scaler.get(f"/v1/models/{path}")

    assert (404, "model_not_found") == (answer.status_code, answer.json()["code"])


@pytest.mark.parametrize("path", ["versions?limit=0", "versions?before=0", "schema?version="])
async def test_what_no_version_can_be_called_is_refused(scaler: httpx2.AsyncClient, path: str) -> None:
    answer = await scaler.get(f"/v1/models/scaler/{path}")

    assert (422, "invalid_input") == (answer.status_code, answer.json()["code"])
