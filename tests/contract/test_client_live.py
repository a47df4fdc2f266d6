"""Both clients against an API that serves real connections."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from headrace.async_client import AsyncClient
from headrace.client import Client
from headrace.errors import (
    Conflict,
    IdempotencyMismatch,
    JobExpired,
    JobNotFound,
    JobNotSucceeded,
    ModelNotFound,
    NotRetryable,
    RequestError,
    WaitTimeout,
)
from headrace.handles import Job
from headrace.jobs import JobStatus
from tests.contract.conftest import HandWorker


def greeting(text: str) -> dict[str, str]:
    return {"text": text}


@pytest.mark.usefixtures("serving")
def test_run_gives_the_result(live_url: str) -> None:
    with Client(live_url) as client:
        assert client.run("greeter", greeting("hi")) == "hi"


@pytest.mark.usefixtures("serving")
def test_run_raises_what_the_job_failed_of(live_url: str) -> None:
    with Client(live_url) as client, pytest.raises(JobNotSucceeded, match="model: it broke"):
        client.run("greeter", greeting("boom"))


@pytest.mark.usefixtures("serving")
def test_a_submitted_job_is_waited_for_by_its_handle(live_url: str) -> None:
    with Client(live_url) as client:
        job = client.submit("greeter", greeting("hi"), max_attempts=2)

        assert job.result(timeout_s=20) == "hi"
        assert job.record().status == JobStatus.SUCCEEDED
        assert client.result(job.id) == "hi"
        assert [job.id] == [record.id for record in client.jobs()]


def test_a_wait_ends_at_its_timeout_and_the_job_goes_on(live_url: str) -> None:
    with Client(live_url) as client:
        job = client.submit("greeter", greeting("hi"))

        with pytest.raises(WaitTimeout, match="no worker of tier standard is running"):
            job.wait(timeout_s=0.05)
        assert job.record().status == JobStatus.QUEUED


def test_changes_of_a_job_are_told_until_it_has_ended(live_url: str, worker: HandWorker) -> None:
    with Client(live_url) as client:
        job = client.submit("greeter", greeting("hi"))
        changes = client.changes(job.id, timeout_s=30)
        seen = [next(changes)]
        [held] = worker.claim()
        worker.start(held)
        seen += [next(changes)]
        worker.succeed(held)
        seen += list(changes)

    assert ["queued", "running", "succeeded"] == [record.status for record in seen]
    assert seen[-1].result() == "done"


def test_changes_that_do_not_come_in_time_are_an_error_that_says_how_it_stands(live_url: str) -> None:
    with Client(live_url) as client:
        changes = client.changes(client.submit("greeter", greeting("hi")).id, timeout_s=0.2)

        assert next(changes).status == JobStatus.QUEUED
        with pytest.raises(WaitTimeout, match="is queued"):
            next(changes)


def test_changes_are_told_to_asyncio_too(live_url: str, worker: HandWorker) -> None:
    async def watch() -> list[JobStatus]:
        async with AsyncClient(live_url) as client:
            job = await client.submit("greeter", greeting("hi"))
            seen = []
            async for record in client.changes(job.id):
                seen.append(record.status)
                if record.status is JobStatus.QUEUED:
                    worker.succeed(worker.claim()[0])
            return seen

    assert [JobStatus.QUEUED, JobStatus.SUCCEEDED] == asyncio.run(watch())


def test_a_wait_ends_when_the_job_is_canceled(live_url: str) -> None:
    with Client(live_url) as client:
        job = client.submit("greeter", greeting("hi"))
        job.cancel()

        assert job.wait().status == JobStatus.CANCELED


def test_errors_come_back_as_the_classes_they_were(live_url: str) -> None:
    with Client(live_url) as client:
        with pytest.raises(ModelNotFound) as refused:
            client.submit("nobody", {})
        with pytest.raises(JobNotFound):
            client.get("never-was?")

    assert refused.value.fields[0].pointer == "/model"


@pytest.mark.usefixtures("serving")
def test_map_keeps_the_order_and_tells_its_progress(live_url: str) -> None:
    ended: list[int] = []
    texts = [f"text {i}" for i in range(100)]

    with Client(live_url) as client:
        results = client.map("greeter", map(greeting, texts), window=16, progress=ended.append)

    assert texts == results
    assert list(range(1, 101)) == ended


@pytest.mark.usefixtures("serving")
def test_one_failure_in_a_map_costs_no_other_result(live_url: str) -> None:
    values = [greeting("a"), greeting("boom"), greeting("b")]

    with Client(live_url) as client:
        outcomes = client.map("greeter", values, return_errors=True)
        with pytest.raises(JobNotSucceeded):
            client.map("greeter", values)

    assert [outcomes[0], outcomes[2]] == ["a", "b"]
    assert isinstance(outcomes[1], JobNotSucceeded)


@pytest.mark.usefixtures("serving")
def test_many_handed_in_together_are_jobs_like_any_other(live_url: str) -> None:
    with Client(live_url) as client:
        jobs = client.submit_many("greeter", map(greeting, "abc"), key="load")
        again = client.submit_many("greeter", map(greeting, "abc"), key="load")

        assert ["a", "b", "c"] == [job.result(timeout_s=20) for job in jobs if isinstance(job, Job)]
        assert [job.id for job in jobs if isinstance(job, Job)] == [job.id for job in again if isinstance(job, Job)]


@pytest.mark.usefixtures("serving")
def test_however_jobs_are_handed_in_they_may_be_called_something(live_url: str) -> None:
    run, key = {"run": "7"}, "team-a"
    with Client(live_url) as client:
        client.run("greeter", greeting("a"), metadata=run, fairness_key=key)
        client.map("greeter", map(greeting, "bc"), metadata=run, fairness_key=key)
        client.submit_many("greeter", map(greeting, "de"), metadata=run, fairness_key=key)
        client.submit("greeter", greeting("f"), metadata=run, fairness_key=key)

        documents = [record.document for record in client.jobs(metadata=run)]
    assert [(run, key)] * 6 == [(document["metadata"], document["fairness_key"]) for document in documents]


def test_jobs_are_found_by_what_they_are_called_and_how_they_are(live_url: str) -> None:
    with Client(live_url) as client:
        mine = [client.submit("greeter", greeting(text), metadata={"customer": "42"}) for text in "ab"]
        client.submit("greeter", greeting("c"), tier="spot")
        mine[0].cancel()

        assert [job.id for job in reversed(mine)] == [job.id for job in client.jobs(metadata={"customer": "42"})]
        assert [mine[1].id] == [job.id for job in client.jobs(status="queued", tier="standard", model="greeter@1")]
        assert [] == client.jobs(created_before="2020-01-01T00:00:00Z")


@pytest.mark.usefixtures("serving")
async def test_the_async_client_means_the_same(live_url: str) -> None:
    async with AsyncClient(live_url) as client:
        job = await client.submit("greeter", greeting("hi"))

        assert await job.result() == "hi"
        assert await client.run("greeter", greeting("ho")) == "ho"
        assert await client.map("greeter", [greeting("a"), greeting("b")]) == ["a", "b"]
        assert [model["name"] for model in await client.models()] == ["greeter"]
        assert {"standard", "priority", "spot"} == {queue["tier"] for queue in await client.queues()}
        assert await client.workers() == []


@pytest.mark.usefixtures("serving")
async def test_map_runs_inside_a_running_loop_too(live_url: str) -> None:
    with Client(live_url) as client:
        results = await asyncio.to_thread(client.map, "greeter", [greeting("a")])
        assert ["a"] == results == client.map("greeter", [greeting("a")])


def test_one_key_of_the_caller_makes_one_job(live_url: str, queued: Callable[[], int]) -> None:
    with Client(live_url) as client:
        ids = {client.submit("greeter", greeting("hi"), key="mine").id for _ in range(3)}

    assert len(ids) == 1
    assert queued() == 1


def test_an_id_of_the_callers_own_makes_one_job(live_url: str, queued: Callable[[], int]) -> None:
    mine = "order-4711-of-customer-0815"
    with Client(live_url) as client:
        ids = {client.submit("greeter", greeting("hi"), job_id=mine).id for _ in range(2)}
        with pytest.raises(IdempotencyMismatch):
            client.submit("greeter", greeting("ho"), job_id=mine)
        with pytest.raises(RequestError, match="either job_id or key"):
            client.submit("greeter", greeting("hi"), job_id=mine, key="mine")

    assert (ids, queued()) == ({mine}, 1)


def test_a_job_that_waits_is_amended(live_url: str) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=10)
    with Client(live_url) as client:
        job = client.submit("greeter", greeting("hi"), metadata={"a": "b"}, deadline=90)
        amended = client.amend(job.id, tier="spot", deadline=soon, metadata={"c": "d"}).document
        bare = client.amend(job.id, deadline=None).document

    assert (amended["tier"], amended["metadata"]) == ("spot", {"c": "d"})
    assert datetime.fromisoformat(amended["times"]["deadline"]) - soon < timedelta(seconds=1)
    assert (bare["tier"], bare["metadata"], bare["times"]["deadline"]) == ("spot", {"c": "d"}, None)


def test_a_job_that_was_canceled_is_retried_once(live_url: str) -> None:
    with Client(live_url) as client:
        job = client.submit("greeter", greeting("hi"))
        with pytest.raises(NotRetryable):
            client.retry(job.id)
        job.cancel()
        again = {client.retry(job.id).id for _ in range(2)}

        assert len(again) == 1
        assert job.id not in again
        assert client.timeline(job.id)["id"] == job.id


def test_a_job_that_is_erased_is_gone_and_may_be_erased_again(live_url: str) -> None:
    with Client(live_url) as client:
        job = client.submit("greeter", greeting("hi"))

        assert [None, None] == [client.erase(job.id) for _ in range(2)]
        with pytest.raises(JobExpired):
            job.record()
        with pytest.raises(JobNotFound):
            client.erase("never-was?")


def test_a_job_that_waits_gets_a_webhook_by_its_url_and_loses_it(live_url: str) -> None:
    with Client(live_url) as client:
        job = client.submit("greeter", greeting("hi"))
        given = client.amend(job.id, webhook="https://example.com/done").document
        taken = client.amend(job.id, webhook=None).document

    assert (given["webhook"]["url"], taken["webhook"]) == ("https://example.com/done", None)


def test_an_estimate_stores_nothing(live_url: str, queued: Callable[[], int]) -> None:
    with Client(live_url) as client:
        said = client.estimate("greeter", greeting("hi"), tier="spot", deadline=60)

    assert (said["admissible"], said["tier"], said["meets_deadline"], queued()) == (True, "spot", None, 0)


def test_jobs_that_filters_mean_are_counted_and_canceled(live_url: str) -> None:
    with Client(live_url) as client:
        for run in "778":
            client.submit("greeter", greeting("hi"), metadata={"run": run})

        assert client.cancel_many(metadata={"run": "7"})["matched"] == 2
        with pytest.raises(Conflict):
            client.cancel_many(confirm=2)
        assert client.cancel_many(metadata={"run": "7"}, confirm=2)["canceled"] == 2
        assert len(client.jobs(status="queued")) == 1


async def test_the_async_client_changes_jobs_too(live_url: str) -> None:
    async with AsyncClient(live_url) as client:
        job = await client.submit("greeter", greeting("hi"), job_id="order-4711-of-customer-0815")
        said = await client.estimate("greeter", greeting("hi"))
        amended = await client.amend(job.id, tier="spot")
        await job.cancel()
        again = await client.retry(job.id)

        assert (said["admissible"], amended.document["tier"]) == (True, "spot")
        assert (await client.cancel_many())["matched"] == 1
        assert (await client.limits())["tenant"] == "default"
        assert (await client.timeline(again.id))["id"] == again.id != job.id
        assert await client.erase(job.id) is None


def test_versions_of_a_model_and_what_one_takes_are_told(live_url: str) -> None:
    async def alike() -> list[dict[str, object]]:
        async with AsyncClient(live_url) as client:
            return [await client.model_versions("greeter"), await client.model_schema("greeter@1")]

    with Client(live_url) as client:
        versions, schema = client.model_versions("greeter"), client.model_schema("greeter")

        assert ([(1, "serving")], None) == (
            [(version["version"], version["state"]) for version in versions["versions"]],
            versions["next"],
        )
        assert schema["output_schema"] == {"type": "string"}
        assert [versions, schema] == asyncio.run(alike())
