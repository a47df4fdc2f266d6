"""Waiting for any change: its caller says which record it has, and is told when there is another."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from api import change_wait
from api.services import Services
from api.waiters import Watch
from headrace.errors import RedisUnavailable
from headrace.settings import Settings
from tests.contract.conftest import HandWorker, calling, started

BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}
#: Longer than any test lasts.
NEVER_S = 3600.0
#: As long as may be waited for, and less: whoever was not told of a change before that finds it when the wait is over.
WAIT_S, SOON_S = 60.0, 30.0


@pytest.fixture
def services(services: Services) -> Services:
    """The parts of an API that looks again soon."""
    services.lookout._pause_s = 0.02
    return services


async def submitted(api: httpx2.AsyncClient, **options: Any) -> str:
    path: str = (await api.post("/v1/jobs", json={**BODY, "options": options})).json()["links"]["self"]
    return path


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0.005)


async def watching(
    api: httpx2.AsyncClient, path: str, *, tag: str = "", wait_s: float = WAIT_S
) -> asyncio.Task[httpx2.Response]:
    """Begin to wait until a job is another than it is now, or than it was with this tag; it has been looked at once."""
    tag = tag or (await api.get(path)).headers["etag"]
    fields = {"Prefer": f"wait={wait_s:g}", "If-None-Match": tag}
    has_looked, woken = asyncio.Event(), change_wait._woken

    async def noting(watch: Watch, pause_s: float) -> None:
        has_looked.set()
        await woken(watch, pause_s)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(change_wait, "_woken", noting)
        task = asyncio.create_task(api.get(path, headers=fields))
        await until(lambda: task.done() or has_looked.is_set())
    return task


async def told(answer: asyncio.Task[httpx2.Response]) -> httpx2.Response:
    """The answer, which comes before the wait is over."""
    async with asyncio.timeout(SOON_S):
        return await answer


@pytest.mark.usefixtures("services")
async def test_each_change_of_a_job_is_told(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    path = await submitted(api)

    answer = await watching(api, path)
    [job] = worker.claim()
    held = await told(answer)
    answer = await watching(api, path, tag=held.headers["etag"])
    worker.start(job)
    running = await told(answer)
    answer = await watching(api, path, tag=running.headers["etag"])
    worker.say(job, 0.4, "denoising")
    further = await told(answer)
    answer = await watching(api, path, tag=further.headers["etag"])
    worker.succeed(job)
    ended = await told(answer)

    assert {200} == {each.status_code for each in (held, running, further, ended)}
    assert (held.json()["reason"], running.json()["status"]) == ("batch_forming", "running")
    assert further.json()["progress"]["message"] == "denoising"
    assert (ended.json()["status"], ended.json()["result"]) == ("succeeded", "done")
    assert ended.headers["preference-applied"] == "wait=60"


async def test_an_end_is_told_without_another_look(
    api: httpx2.AsyncClient, services: Services, worker: HandWorker
) -> None:
    services.lookout._pause_s = NEVER_S
    path = await submitted(api)
    [job] = worker.claim()

    answer = await watching(api, path)
    worker.succeed(job)

    assert (await told(answer)).json()["result"] == "done"


async def test_nothing_new_is_304_when_the_time_is_over(api: httpx2.AsyncClient, services: Services) -> None:
    path = await submitted(api)

    answer = await told(await watching(api, path, wait_s=0.1))

    assert (answer.status_code, answer.content, answer.headers["preference-applied"]) == (304, b"", "wait=0.1")
    assert answer.headers["etag"] == (await api.get(path)).headers["etag"]
    assert services.lookout._watching == len(services.waiters) == 0


async def test_who_has_another_record_is_told_at_once(
    api: httpx2.AsyncClient, services: Services, worker: HandWorker
) -> None:
    services.lookout._pause_s = NEVER_S
    path = await submitted(api)
    old = (await api.get(path)).headers["etag"]
    [job] = worker.claim()
    worker.start(job)

    answers = [await told(await watching(api, path, tag=tag)) for tag in (old, '"of-another"', f'"x", {old}')]

    assert [(200, "running")] * 3 == [(answer.status_code, answer.json()["status"]) for answer in answers]


@pytest.mark.usefixtures("services", "slow_worker")
async def test_a_place_in_the_queue_is_told_when_it_is_looked_at_again(
    api: httpx2.AsyncClient, worker: HandWorker
) -> None:
    await submitted(api)
    path = await submitted(api)
    first = await api.get(path)

    answer = await watching(api, path)
    worker.claim(jobs=1)

    assert (first.json()["queue"]["position"], (await told(answer)).json()["queue"]["position"]) == (1, 0)


@pytest.mark.usefixtures("services", "slow_worker")
async def test_a_place_that_had_moved_before_is_not_told_at_once(
    commands: list[str], api: httpx2.AsyncClient, worker: HandWorker
) -> None:
    await submitted(api)
    path = await submitted(api)
    old = (await api.get(path)).headers["etag"]
    worker.claim(jobs=1)
    commands.clear()

    answer = await told(await watching(api, path, tag=old))

    assert answer.json()["queue"]["position"] == 0
    assert commands.count("HGETALL") == 2


async def test_what_has_ended_and_is_known_is_not_waited_for(
    api: httpx2.AsyncClient, services: Services, worker: HandWorker
) -> None:
    services.lookout._pause_s = NEVER_S
    path = await submitted(api)
    worker.succeed(worker.claim()[0])
    plain = (await api.get(path)).headers["etag"]

    whole = await told(await watching(api, path, tag=plain))
    known = await told(await watching(api, path, tag=whole.headers["etag"]))

    assert (whole.status_code, whole.json()["result"], known.status_code) == (200, "done", 304)


async def test_a_change_is_told_by_every_process(settings: Settings, api: httpx2.AsyncClient) -> None:
    path = await submitted(api)
    async with started(settings) as other, calling(other) as elsewhere:
        services: Services = other.state.services
        services.lookout._pause_s = NEVER_S
        answer = await watching(elsewhere, path)
        await api.post(f"{path}/cancel")

        assert (await told(answer)).json()["status"] == "canceled"


async def test_a_change_while_redis_was_away_is_told_once_it_is_back(
    api: httpx2.AsyncClient, services: Services, worker: HandWorker
) -> None:
    path = await submitted(api)
    answer = await watching(api, path)

    for mux in (services.mux, services.feed._mux):
        assert mux._pipe is not None
        mux._pipe.abort()
    [job] = worker.claim()
    worker.start(job)

    assert (await told(answer)).json()["status"] == "running"


async def test_a_time_that_is_over_while_redis_is_away_is_no_304(
    api: httpx2.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await submitted(api)
    answer = await watching(api, path, wait_s=0.2)

    async def unreachable() -> None:
        raise RedisUnavailable("it is away")

    with monkeypatch.context() as outage:
        outage.setattr(services.mux, "_connect", unreachable)
        assert services.mux._pipe is not None
        services.mux._pipe.abort()
        refused = await told(answer)

    assert (refused.status_code, refused.json()["code"]) == (503, "redis_unavailable")


async def test_it_is_one_of_the_waits_that_a_tenant_may_have_open(
    api: httpx2.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services.openings, "_most_waits", 1)
    path = await submitted(api)
    answer = await watching(api, path)

    refused = await told(await watching(api, path))
    await api.post(f"{path}/cancel")

    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_open_waits")
    assert (await told(answer)).status_code == 200


@pytest.mark.usefixtures("services")
async def test_a_job_that_is_deleted_while_it_is_watched_is_gone(api: httpx2.AsyncClient) -> None:
    path = await submitted(api)
    answer = await watching(api, path)

    await api.delete(path)

    assert ((await told(answer)).status_code, (await told(answer)).json()["code"]) == (410, "job_expired")


@pytest.mark.usefixtures("services")
async def test_a_look_at_what_runs_is_one_command(
    commands: list[str], api: httpx2.AsyncClient, worker: HandWorker
) -> None:
    path = await submitted(api)
    worker.start(worker.claim()[0])
    answer = await watching(api, path, wait_s=0.3)
    commands.clear()

    await answer

    assert {"HGETALL"} == set(commands)
    assert len(commands) <= 0.3 / 0.02 + 2  # a look every pause, never more


async def test_a_stopping_process_lets_go_of_those_who_watch(api: httpx2.AsyncClient, services: Services) -> None:
    services.lookout._pause_s = NEVER_S
    path = await submitted(api)
    answer = await watching(api, path)

    services.waiters.close()

    assert (await told(answer)).status_code == 304
