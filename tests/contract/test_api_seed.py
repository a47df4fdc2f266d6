"""A seed that a job brings: kept, shown, copied, refused where its model would not heed it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace.jobs import MAX_SEED
from registry.registry import Registry
from tests.contract.conftest import GREETER, HandWorker

INPUT = {"text": "world"}
SEEDED = GREETER + "    def seed(self, item, seed): return item\n"


@pytest.fixture
async def api(api_with: Callable[..., Any], tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    """Calls an API to which two models are known: `greeter`, which takes a seed, and `plain`, which takes none."""
    registry, folder = Registry(url=(tmp_path / "own").as_uri()), tmp_path / "source"
    folder.mkdir()
    for name, source in (("greeter", SEEDED), ("plain", GREETER)):
        (folder / "model.py").write_text(source)
        registry.push(folder, name=name)
    async with api_with(registry_url=(tmp_path / "own").as_uri()) as api:
        yield api


def job(*, model: str = "greeter", **options: Any) -> dict[str, Any]:
    return {"model": model, "input": INPUT, "options": options}


async def submit(api: httpx2.AsyncClient, **options: Any) -> dict[str, Any]:
    record: dict[str, Any] = (await api.post("/v1/jobs", json=job(**options))).json()
    return record


@pytest.mark.parametrize("seed", [0, 7.0, MAX_SEED, None])
async def test_a_seed_is_kept_and_shown_and_told_to_the_worker(
    api: httpx2.AsyncClient, worker: HandWorker, seed: float | None
) -> None:
    record = await submit(api, seed=seed)
    again = (await api.get(record["links"]["self"])).json()

    assert [seed, seed, seed] == [record["seed"], again["seed"], worker.claim()[0].seed]


@pytest.mark.parametrize("seed", [-1, MAX_SEED + 1, float(MAX_SEED + 1), 2**64, 0.5, True, "7", [7]])
async def test_what_is_no_whole_number_within_the_bounds_is_refused(
    api: httpx2.AsyncClient, queued: Callable[[], int], seed: object
) -> None:
    answer = await api.post("/v1/jobs", json=job(seed=seed))

    assert (422, ["/options/seed"]) == (answer.status_code, [error["pointer"] for error in answer.json()["errors"]])
    assert queued() == 0


async def test_a_seed_that_its_model_would_not_heed_is_refused(
    api: httpx2.AsyncClient, queued: Callable[[], int]
) -> None:
    answers = [await api.post(route, json=job(model="plain", seed=7)) for route in ("/v1/jobs", "/v1/estimate")]

    problem = "is not taken: this version of the model has no hook `seed`; leave it out, or name one that has"
    for answer in answers:
        assert (422, "invalid_input") == (answer.status_code, answer.json()["code"])
        expected = {"pointer": "/options/seed", "code": "seed_not_taken", "detail": problem}
        assert [expected] == answer.json()["errors"]
    assert queued() == 0


async def test_of_many_jobs_each_has_its_own_seed_and_those_that_may_not_are_refused(api: httpx2.AsyncClient) -> None:
    bodies = [job(seed=1), job(seed=2), job(), job(model="plain", seed=3), job(model="plain"), job(seed=2)]

    answer = (await api.post("/v1/jobs:bulk", json=bodies)).json()
    records = [(await api.get(f"/v1/jobs/{item['id']}")).json() for item in answer["jobs"] if item["id"]]

    assert [1, 2, None, None, 2] == [record["seed"] for record in records]
    assert "/options/seed" == answer["jobs"][3]["error"]["errors"][0]["pointer"]


async def test_a_result_stands_for_jobs_with_the_same_seed_alone(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    content = {"dedupe": {"scope": "content"}}
    first, other, none = [await submit(api, seed=seed, **content) for seed in (7, 8, None)]
    for claimed in worker.claim():
        worker.succeed(claimed)

    again = [await submit(api, seed=seed, **content) for seed in (7, 8, None)]

    assert [first["id"], other["id"], none["id"]] == [record["id"] for record in again]
    assert 3 == len({first["id"], other["id"], none["id"]})


async def test_another_seed_under_the_same_key_is_another_request(api: httpx2.AsyncClient) -> None:
    headers = {"Idempotency-Key": "k"}
    first, same, other = [await api.post("/v1/jobs", json=job(seed=seed), headers=headers) for seed in (7, 7, 8)]

    assert (202, 200, 422) == (first.status_code, same.status_code, other.status_code)
    assert first.json()["id"] == same.json()["id"]


async def test_what_is_tried_again_keeps_its_seed(api: httpx2.AsyncClient) -> None:
    record = await submit(api, seed=7)
    await api.post(record["links"]["cancel"])

    again = (await api.post(f"{record['links']['self']}/retry")).json()

    assert (7, False) == (again["seed"], again["id"] == record["id"])


async def test_models_say_whether_they_take_a_seed(api: httpx2.AsyncClient) -> None:
    models = (await api.get("/v1/models")).json()["models"]
    schemas = [(await api.get(f"/v1/models/{model['name']}/schema")).json() for model in models]

    assert [("greeter", True), ("plain", False)] == [(model["name"], model["takes_seed"]) for model in models]
    assert [True, False] == [schema["takes_seed"] for schema in schemas]
