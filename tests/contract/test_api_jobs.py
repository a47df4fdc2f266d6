"""Looking at jobs, fetching results, canceling, listing."""

import time
from typing import Any

import httpx2
import pytest

from headrace.jobs import JobStatus
from headrace.keys import Keys
from headrace.model_moves import ModelMove, MoveKind, note_move
from headrace.model_ref import ModelRef
from headrace.presence import ModelPresence, ModelState, WorkerPresence, WorkerState
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from tests.contract.conftest import HandWorker

BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}


async def submitted(api: httpx2.AsyncClient) -> str:
    return str((await api.post("/v1/jobs", json=BODY)).headers["location"])


def announce(connection: SyncRedis, keys: Keys, state: ModelState, error: str = "") -> None:
    """Say what a worker says of itself."""
    presence = WorkerPresence(
        id="w1",
        worker_class="on-demand",
        host="here",
        pid=1,
        device="cpu",
        tiers=tuple(Tier),
        state=WorkerState.READY,
        models={str(ModelRef("greeter", 1)): ModelPresence(state=state, error=error)},
        started_ms=1_700_000_000_000,
    )
    connection.client.zadd(keys.workers, {"w1": time.time() * 1000})
    connection.client.set(keys.worker("w1"), presence.to_bytes())


@pytest.mark.parametrize(
    ("state", "error", "reason", "detail"),
    [
        (ModelState.READY, "", "waiting_turn", None),
        (ModelState.LOADING, "", "model_loading", None),
        (ModelState.FAILED, "a file is missing", "no_compatible_worker", "a file is missing"),
    ],
)
async def test_a_queued_job_says_why_it_waits(
    api: httpx2.AsyncClient,
    connection: SyncRedis,
    keys: Keys,
    state: ModelState,
    error: str,
    reason: str,
    detail: str | None,
) -> None:
    announce(connection, keys, state, error)

    record = (await api.get(await submitted(api))).json()

    assert reason == record["reason"]
    assert (detail or "") in (record["reason_detail"] or "")


async def test_a_claimed_job_is_queued_in_a_batch_that_forms(api: httpx2.AsyncClient, worker: Any) -> None:
    path = await submitted(api)
    worker.claim()

    record = (await api.get(path)).json()

    assert (record["status"], record["reason"], record["queue"]["position"]) == ("queued", "batch_forming", None)
    assert record["worker"] == "hand"
    assert record["times"]["claimed"] is not None


async def test_a_running_job_has_no_reason_and_no_place(api: httpx2.AsyncClient, worker: Any) -> None:
    path = await submitted(api)
    worker.start(worker.claim()[0])

    record = (await api.get(path)).json()

    assert (record["status"], record["reason"], record["queue"], record["attempts"]) == ("running", None, None, 1)


async def test_an_ended_job_tells_its_times_and_batch_but_no_result_unasked(
    api: httpx2.AsyncClient, worker: Any
) -> None:
    path = await submitted(api)
    worker.succeed(worker.claim()[0])

    record = (await api.get(path)).json()
    times = record["times"]

    assert (record["status"], record["batch_size"]) == ("succeeded", 1)
    assert sorted([times["created"], times["claimed"], times["finished"]]) == [
        times["created"],
        times["claimed"],
        times["finished"],
    ]
    assert "result" not in record


async def test_a_result_is_given_byte_for_byte(api: httpx2.AsyncClient, worker: Any) -> None:
    path = await submitted(api)
    worker.succeed(worker.claim()[0], b'[0.10000000149011612, 1e-07,  "\xc3\xa9"]')

    answer = await api.get(f"{path}/result")

    assert answer.content == b'[0.10000000149011612, 1e-07,  "\xc3\xa9"]'
    assert answer.headers["content-type"] == "application/json"


async def test_a_result_that_is_not_there_yet_is_202(api: httpx2.AsyncClient) -> None:
    answer = await api.get(f"{await submitted(api)}/result")

    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    assert answer.headers["retry-after"] == "1"


async def test_a_job_without_result_says_why(api: httpx2.AsyncClient, worker: Any) -> None:
    failed, canceled = await submitted(api), await submitted(api)
    worker.fail(worker.claim(jobs=1)[0], "it broke")
    await api.post(f"{canceled}/cancel")

    answers = [await api.get(f"{path}/result") for path in (failed, canceled)]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(409, "job_not_succeeded")] * 2
    assert "model: it broke" in answers[0].json()["detail"]
    assert "is canceled" in answers[1].json()["detail"]


async def test_a_result_that_is_no_longer_kept_is_410(
    api: httpx2.AsyncClient, worker: Any, connection: SyncRedis, keys: Keys
) -> None:
    path = await submitted(api)
    job = worker.claim()[0]
    worker.succeed(job)
    connection.client.delete(keys.output(job.member))

    answer = await api.get(f"{path}/result")

    assert (answer.status_code, answer.json()["code"]) == (410, "job_expired")


async def test_cancel_ends_a_queued_job_and_may_be_repeated(api: httpx2.AsyncClient, worker: Any) -> None:
    path = await submitted(api)

    answers = [await api.post(f"{path}/cancel") for _ in range(2)]

    assert [(answer.status_code, answer.json()["status"]) for answer in answers] == [(200, "canceled")] * 2
    assert worker.claim() == []


async def test_cancel_of_a_running_job_is_accepted_and_done_at_the_end_of_its_pass(
    api: httpx2.AsyncClient, worker: Any
) -> None:
    path = await submitted(api)
    job = worker.claim()[0]
    worker.start(job)

    answer = await api.post(f"{path}/cancel")
    worker.succeed(job)

    assert (answer.status_code, answer.json()["status"]) == (202, "canceling")
    assert (await api.get(path)).json()["status"] == "canceled"


async def test_cancel_leaves_an_ended_job_as_it_is(api: httpx2.AsyncClient, worker: Any) -> None:
    path = await submitted(api)
    worker.succeed(worker.claim()[0])

    answer = await api.post(f"{path}/cancel")

    assert (answer.status_code, answer.json()["status"]) == (200, JobStatus.SUCCEEDED)


async def test_unknown_ids_are_404_everywhere(api: httpx2.AsyncClient) -> None:
    answers = [
        await api.get("/v1/jobs/nobody"),
        await api.get("/v1/jobs/nobody", headers={"Prefer": "wait=30"}),
        await api.get("/v1/jobs/nobody/result"),
        await api.post("/v1/jobs/nobody/cancel"),
    ]

    assert {(404, "job_not_found")} == {(answer.status_code, answer.json()["code"]) for answer in answers}


async def test_a_job_of_another_tenant_is_not_found(api: httpx2.AsyncClient, connection: SyncRedis, keys: Keys) -> None:
    path = await submitted(api)
    job_id = path.rpartition("/")[2]
    connection.client.rename(keys.job(f"default/{job_id}"), keys.job(f"other/{job_id}"))

    assert (await api.get(path)).status_code == 410
    assert (await api.get(f"/v1/jobs/..%2Fother%2F{job_id}")).status_code == 404


async def test_the_newest_jobs_come_first(api: httpx2.AsyncClient) -> None:
    ids = []
    for _ in range(3):
        ids.append((await submitted(api)).rpartition("/")[2])
        time.sleep(0.002)  # noqa: ASYNC251 - two jobs of one millisecond have no order by time

    listed = (await api.get("/v1/jobs?limit=2")).json()["jobs"]

    assert ids[:0:-1] == [job["id"] for job in listed]


async def test_a_listed_job_tells_as_much_as_one_that_is_looked_at(api: httpx2.AsyncClient, worker: Any) -> None:
    paths = [await submitted(api) for _ in range(3)]
    succeeded, failed = worker.claim(jobs=2)
    worker.succeed(succeeded)
    worker.fail(failed)

    listed = {job["links"]["self"]: job for job in (await api.get("/v1/jobs")).json()["jobs"]}

    assert [(await api.get(path)).json() for path in paths] == [listed[path] for path in paths]


async def test_a_timeline_shows_what_was_loaded_while_the_job_waited_and_nothing_later(
    api: httpx2.AsyncClient, worker: HandWorker, connection: SyncRedis, keys: Keys
) -> None:
    def note(kind: MoveKind, **more: Any) -> None:
        connection.run_all(note_move(keys, "greeter@1", ModelMove(kind, "greeter@1", "w", **more)))

    connection.client.xadd(keys.model_moves("greeter@1"), {"e": "garbage"}, id="1-1")
    path = await submitted(api)
    note(MoveKind.REFUSED, detail="no room")
    note(MoveKind.LOADING)
    note(MoveKind.LOADED, took_s=2.14)
    [job] = worker.claim()
    worker.start(job)
    worker.succeed(job, b'"hello"')
    connection.client.xadd(keys.model_moves("greeter@1"), {"e": "model_loading", "r": "late"}, id=f"{1 << 42}-1")

    steps = (await api.get(f"{path}/timeline")).json()["steps"]

    waited = ["model_refused", "model_loading", "model_loaded"]
    assert ["accepted", "ready", *waited, "claimed", "started", "succeeded"] == [step["step"] for step in steps]
    assert [
        "greeter@1 could not be loaded on worker w: no room",
        "loading greeter@1 on worker w",
        "loaded greeter@1 on worker w: 2.1 s",
    ] == [step["detail"] for step in steps if step["detail"]]


async def test_a_timeline_tells_what_a_job_waited_for_and_what_it_cost(
    api: httpx2.AsyncClient, worker: HandWorker
) -> None:
    path = await submitted(api)
    before = (await api.get(f"{path}/timeline")).json()
    [job] = worker.claim()
    worker.start(job)
    worker.succeed(job, b'"hello"')

    after = (await api.get(f"{path}/timeline")).json()

    assert [step["step"] for step in before["steps"]] == ["accepted", "ready"]
    assert (before["waits"], before["spent_ms"]) == ({"scheduled_ms": 0, "queue_ms": None, "batch_ms": None}, None)
    assert [step["step"] for step in after["steps"]] == ["accepted", "ready", "claimed", "started", "succeeded"]
    assert sorted(step["at"] for step in after["steps"]) == [step["at"] for step in after["steps"]]
    assert (after["attempts"], after["batch_size"], after["workers_lost"], after["spent_ms"]) == (1, 1, 0, 5.0)
    assert min(after["waits"]["queue_ms"], after["waits"]["batch_ms"], after["ran_ms"]) >= 0


async def test_record_and_timeline_show_how_far_a_pass_is(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    path = await submitted(api)
    [job] = worker.claim()
    worker.start(job)
    before = (await api.get(path)).json()
    worker.say(job, 0.4, "denoising")

    record, timeline = (await api.get(path)).json(), (await api.get(f"{path}/timeline")).json()

    assert before["progress"] is None
    assert ("running", 0.4, "denoising") == (record["status"], *list(record["progress"].values())[:2])
    assert record["progress"]["at"] >= record["times"]["started"]
    assert record["progress"] == timeline["progress"]


async def test_a_timeline_lists_the_attempts_that_came_to_no_result(
    api: httpx2.AsyncClient, worker: HandWorker, connection: SyncRedis, store: JobStore
) -> None:
    path = (await api.post("/v1/jobs", json=BODY)).json()["links"]["self"]
    [lost] = worker.claim()
    worker.start(lost)
    connection.client.zadd(store.keys.leases, {str(lost.lease): 1})
    connection.run(store.reap(limit=10, result_ttl_s=60))
    [again] = worker.claim()
    worker.start(again)
    worker.succeed(again)

    timeline = (await api.get(f"{path}/timeline")).json()

    [attempt] = timeline["earlier_attempts"]
    assert (attempt["worker"], attempt["batch_size"], attempt["reason"]) == ("hand", 1, "worker_lost")
    assert attempt["started"] <= attempt["ended"]
    assert (timeline["attempts"], timeline["workers_lost"]) == (2, 1)
