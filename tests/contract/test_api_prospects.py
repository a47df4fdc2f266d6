"""How long a job will wait: position, estimate, admission by it, and what is learned from jobs that end."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx2
import orjson
import pytest

from api.services import Services
from headrace.jobs import JobStatus
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.presence import GroupLoad, ModelPresence, ModelState, WorkerPresence, WorkerState
from headrace.settings import Settings
from headrace.sync_redis import SyncRedis
from headrace.tenant_store import TenantStore
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from tests.contract.conftest import HandWorker

BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}
_GREETER = (ModelRef("greeter", 1), Tier.STANDARD)


@pytest.fixture
def speaks(connection: SyncRedis, keys: Keys) -> Callable[..., None]:
    """Makes a worker say that it serves the greeter, eight jobs in passes of two seconds, and is in one."""

    def speak(
        *,
        state: ModelState = ModelState.READY,
        tiers: tuple[Tier, ...] = tuple(Tier),
        error: str = "",
        cold: bool = False,
        memory_bytes: int = 0,
    ) -> None:
        model = ModelPresence(state=state, error=error, cold=cold, passes=10, runs=10, jobs=80, busy_s=20.0, job_s=0.25)
        worker = WorkerPresence(
            id="w1",
            worker_class="c",
            host="h",
            pid=1,
            device="cpu",
            tiers=tiers,
            memory_bytes=memory_bytes,
            state=WorkerState.READY,
            models={"greeter@1": model},
            started_ms=0,
            groups={"greeter@1:standard": GroupLoad(held=8, running=8)},
        )
        connection.client.set(keys.worker("w1"), worker.to_bytes())
        connection.client.zadd(keys.workers, {"w1": 1})

    return speak


async def submitted(api: httpx2.AsyncClient, **options: Any) -> dict[str, Any]:
    record: dict[str, Any] = (await api.post("/v1/jobs", json={**BODY, "options": options})).json()
    return record


async def test_an_estimate_that_moves_with_the_clock_makes_no_other_record_of_it(
    api: httpx2.AsyncClient, speaks: Callable[..., None]
) -> None:
    speaks()
    path = (await submitted(api))["links"]["self"]

    first = await api.get(path)
    await asyncio.sleep(0.002)
    second = await api.get(path)
    known = await api.get(path, headers={"If-None-Match": first.headers["etag"]})

    assert first.json()["queue"]["eta"] != second.json()["queue"]["eta"]
    assert known.status_code == 304


async def test_a_place_among_keys_that_take_turns_is_told_before_and_after(
    api: httpx2.AsyncClient, speaks: Callable[..., None]
) -> None:
    speaks()
    for _ in range(10):
        await api.post("/v1/jobs", json={**BODY, "fairness_key": "flood"})
    body = {**BODY, "fairness_key": "team-a"}

    foreseen = (await api.post("/v1/estimate", json=body)).json()
    record = (await api.post("/v1/jobs", json=body)).json()
    last = (await api.post("/v1/jobs", json={**BODY, "fairness_key": "flood"})).json()

    again = (await api.get(record["links"]["self"])).json()
    # The first of the flood is being served; the second is in the round of this one.
    assert [2, 2, 2, 11] == [seen["queue"]["position"] for seen in (foreseen, record, again, last)]


async def test_strict_admission_knows_of_turns(api: httpx2.AsyncClient, speaks: Callable[..., None]) -> None:
    speaks()
    for _ in range(50):
        await api.post("/v1/jobs", json={**BODY, "fairness_key": "flood"})
    pressing = {"admission": "strict", "deadline": 120}

    answers = [
        await api.post("/v1/estimate", json={**BODY, "options": pressing, "fairness_key": key})
        for key in ("team-a", "flood")
    ]

    positions = [answer.json()["queue"]["position"] for answer in answers]
    assert positions == [2, 50]


async def test_a_place_in_the_queue_is_told_with_when_the_job_will_end(
    api: httpx2.AsyncClient, speaks: Callable[..., None]
) -> None:
    speaks()
    records = [await submitted(api) for _ in range(10)]

    queues = [record["queue"] for record in records]
    again = (await api.get(records[9]["links"]["self"])).json()["queue"]

    assert list(range(10)) == [queue["position"] for queue in queues]
    assert (queues[0]["batches_ahead"], queues[9]["batches_ahead"], again["position"]) == (1, 2, 9)
    eta = queues[9]["eta"]
    moments = [eta[name] for name in ("start_p50", "start_p90", "finish_p90")]
    assert sorted(moments) == moments
    assert (eta["confidence"], eta["basis"]) == ("low", "throughput")
    assert queues[0]["eta"]["finish_p90"] < eta["finish_p90"]


async def test_callers_are_told_to_come_back_when_the_job_may_have_ended(
    api: httpx2.AsyncClient, speaks: Callable[..., None]
) -> None:
    speaks()
    first = await api.post("/v1/jobs", json=BODY)
    await api.post("/v1/jobs:bulk", json=[BODY] * 400)

    last = await api.post("/v1/jobs", json=BODY)

    assert 2 <= int(first.headers["retry-after"]) <= 5
    assert last.headers["retry-after"] == "60"


@pytest.mark.parametrize("state", [None, ModelState.FAILED], ids=["no worker", "cannot be loaded"])
async def test_what_nobody_can_run_has_a_reason_and_no_position(
    api: httpx2.AsyncClient, speaks: Callable[..., None], state: ModelState | None
) -> None:
    if state:
        speaks(state=state)

    record = await submitted(api)
    again = (await api.get(record["links"]["self"])).json()

    nothing = {"position": None, "batches_ahead": None, "eta": None}
    assert [("no_compatible_worker", nothing)] * 2 == [(one["reason"], one["queue"]) for one in (record, again)]


async def test_whoever_waits_in_a_queue_that_is_paused_is_told_why_and_since_when_and_is_promised_no_start(
    api: httpx2.AsyncClient, speaks: Callable[..., None]
) -> None:
    speaks()
    before = await submitted(api)
    url = "/v1/queues/greeter@1:standard"

    await api.post(f"{url}/pause", params={"reason": "bad images"})

    after = await submitted(api)
    again = (await api.get(before["links"]["self"])).json()
    foreseen = (await api.post("/v1/estimate", json=BODY)).json()
    assert ["queue_paused"] * 3 == [each["reason"] for each in (after, again, foreseen)]
    assert all(each["reason_detail"].startswith("paused by an operator since 2") for each in (after, again))
    assert all(each["reason_detail"].endswith("Z: bad images") for each in (after, again, foreseen))
    nothing = {"position": None, "batches_ahead": None, "eta": None}
    assert [nothing] * 3 == [each["queue"] for each in (after, again, foreseen)]
    assert foreseen["admissible"]
    assert before["queue"]["eta"] is not None
    await api.post(f"{url}/resume")
    assert 1 == (await api.get(after["links"]["self"])).json()["queue"]["position"]


async def test_what_is_paused_is_before_nobody_of_another_tier(
    api: httpx2.AsyncClient, speaks: Callable[..., None]
) -> None:
    speaks()
    for _ in range(3):
        await submitted(api, tier="priority")

    await api.post("/v1/queues/greeter@1:priority/pause")

    assert 0 == (await submitted(api))["queue"]["position"]


@pytest.fixture
def scales_up(connection: SyncRedis, keys: Keys, settings: Settings) -> Callable[..., None]:
    """Makes the scheduler say that it wants two workers, whose starts take 20 s."""
    name = next(iter(settings.worker_classes))

    def decide(*, ran: bool = True, at_ms: int = 1) -> None:
        none = dict.fromkeys(("wanted", "min_workers", "ready", "starting", "draining", "jobs"), 0)
        row = {"worker_class": name, "count": 2, "max_workers": 2, "backlog_s": 0, "arriving": 0, "cold_start_s": 20}
        report = {"at_ms": at_ms, "scheduler": "s", "classes": [{**none, **row, "reasons": []}]}
        connection.client.set(keys.scaling, orjson.dumps(report))
        if ran:
            connection.client.hset(keys.queue("greeter@1:standard"), mapping={"ended": 10, "run_ms": 20_000})

    return decide


async def test_while_workers_are_on_their_way_a_job_is_told_when_it_will_end(
    api: httpx2.AsyncClient, scales_up: Callable[..., None]
) -> None:
    scales_up()
    records = [await submitted(api) for _ in range(3)]
    again = (await api.get(records[2]["links"]["self"])).json()
    strict = await api.post("/v1/jobs", json={**BODY, "options": {"admission": "strict", "deadline": 10}})
    queues = (await api.get("/v1/queues")).json()["queues"]

    # 20 s, then two jobs of 2 s by two workers, then its own.
    queue = again["queue"]
    created, finish = (datetime.fromisoformat(text) for text in (again["times"]["created"], queue["eta"]["finish_p50"]))
    assert ("worker_starting", [0, 1, 2]) == (again["reason"], [one["queue"]["position"] for one in records])
    assert "scaling up: 2 workers of class on-demand on the way, ready in about 20 s" == again["reason_detail"]
    assert (queue["eta"]["basis"], queue["eta"]["confidence"], queue["batches_ahead"]) == ("cold_start", "low", None)
    assert 24 <= (finish - created).total_seconds() < 60
    assert (strict.status_code, strict.json()["code"]) == (409, "deadline_unattainable")
    assert ["worker_starting"] == [queue["reason"] for queue in queues if queue["depth"]]


async def test_of_a_model_that_was_never_run_only_the_start_is_told(
    api: httpx2.AsyncClient, scales_up: Callable[..., None]
) -> None:
    scales_up(ran=False)

    record = await submitted(api)

    assert ("worker_starting", 0, None) == (record["reason"], record["queue"]["position"], record["queue"]["eta"])
    assert "ready in about 20 s" in record["reason_detail"]


async def test_who_waits_for_room_on_one_worker_is_told_that_others_are_coming(
    api: httpx2.AsyncClient, scales_up: Callable[..., None], speaks: Callable[..., None]
) -> None:
    scales_up()
    speaks(state=ModelState.LOADING, cold=True)

    record = await submitted(api)

    assert "model_loading" == record["reason"]
    assert record["reason_detail"].startswith("scaling up: 2 workers")


async def test_a_model_that_cannot_be_loaded_is_not_waited_for(
    api: httpx2.AsyncClient, scales_up: Callable[..., None], speaks: Callable[..., None]
) -> None:
    scales_up()
    speaks(state=ModelState.FAILED, error="no such file")

    record = await submitted(api)

    assert ("no_compatible_worker", None) == (record["reason"], record["queue"]["position"])


async def test_a_position_counts_nothing_of_a_tier_that_nobody_serves(
    api: httpx2.AsyncClient, speaks: Callable[..., None]
) -> None:
    speaks(tiers=(Tier.STANDARD,))
    for _ in range(5):
        await submitted(api, tier="priority")

    record = await submitted(api)
    again = (await api.get(record["links"]["self"])).json()

    assert (record["queue"]["position"], again["queue"]["position"]) == (0, 0)


async def test_a_position_counts_more_urgent_tiers(api: httpx2.AsyncClient, speaks: Callable[..., None]) -> None:
    speaks()
    for _ in range(5):
        await submitted(api, tier="priority")

    record = await submitted(api)
    again = (await api.get(record["links"]["self"])).json()

    assert (record["queue"]["position"], again["queue"]["position"]) == (5, 5)


async def test_an_estimate_says_what_would_be_and_stores_nothing(
    api: httpx2.AsyncClient, speaks: Callable[..., None], queued: Callable[[], int]
) -> None:
    speaks()
    await api.post("/v1/jobs:bulk", json=[BODY] * 20)

    plain = (await api.post("/v1/estimate", json=BODY)).json()
    hasty = (await api.post("/v1/estimate", json={**BODY, "options": {"deadline": 1, "admission": "strict"}})).json()
    patient = (await api.post("/v1/estimate", json={**BODY, "options": {"deadline": 600}})).json()

    assert (plain["admissible"], plain["queue"]["position"], plain["seconds"]) == (True, 20, 0.25)
    assert (plain["meets_deadline"], hasty["meets_deadline"], patient["meets_deadline"]) == (None, False, True)
    assert (hasty["admissible"], patient["admissible"]) == (False, True)
    assert ("deadline_unattainable", None) == (hasty["refusal"]["code"], patient["refusal"])
    assert queued() == 20


async def test_a_deadline_that_cannot_be_kept_is_refused_at_once_if_that_was_asked_for(
    api: httpx2.AsyncClient, speaks: Callable[..., None], queued: Callable[[], int]
) -> None:
    speaks()
    hasty = {**BODY, "options": {"deadline": 1, "admission": "strict"}}
    patient = {**BODY, "options": {"deadline": 600, "admission": "strict"}}

    refused, accepted = [await api.post("/v1/jobs", json=body) for body in (hasty, patient)]

    assert (refused.status_code, refused.json()["code"]) == (409, "deadline_unattainable")
    assert refused.json()["errors"][0]["pointer"] == "/options/deadline"
    assert (accepted.status_code, queued()) == (202, 1)


async def test_where_nobody_runs_it_no_deadline_is_promised(api: httpx2.AsyncClient, queued: Callable[[], int]) -> None:
    answer = await api.post("/v1/jobs", json={**BODY, "options": {"deadline": 600, "admission": "strict"}})

    assert (answer.status_code, answer.json()["code"], queued()) == (409, "deadline_unattainable", 0)


async def test_strict_admission_needs_a_deadline(api: httpx2.AsyncClient) -> None:
    answer = await api.post("/v1/jobs", json={**BODY, "options": {"admission": "strict"}})

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/options/admission")


async def test_jobs_that_end_teach_how_wrong_the_estimates_were(
    api: httpx2.AsyncClient, services: Services, speaks: Callable[..., None], worker: HandWorker
) -> None:
    speaks()
    record = await submitted(api)
    canceled = await submitted(api)
    await api.post(f"/v1/jobs/{canceled['id']}/cancel")
    [job] = worker.claim()

    worker.succeed(job, b'"hello"')
    ended = (await api.get(record["links"]["self"], headers={"Prefer": "wait=10"})).json()

    assert ended["status"] == JobStatus.SUCCEEDED
    forecaster = services.prospects.forecasters["greeter@1"]
    assert (forecaster.kept, forecaster.late) == (1, 0)


async def test_estimates_that_are_mostly_wrong_are_not_shown(
    api: httpx2.AsyncClient, services: Services, speaks: Callable[..., None]
) -> None:
    speaks()
    await submitted(api)
    forecaster = services.prospects.forecasters["greeter@1"]
    pace = (await services.presences.roster()).pace(*_GREETER)
    assert pace is not None
    for one in [forecaster.estimate(pace, 20) for _ in range(100)]:
        forecaster.ended(one, 1000.0)

    queue = (await submitted(api))["queue"]

    assert (queue["position"], queue["batches_ahead"], queue["eta"]) == (1, None, None)


SMALL, LARGE = WorkerClass(memory_bytes=4_000_000_000), WorkerClass(memory_bytes=9_000_000_000)


async def test_a_job_that_has_outgrown_the_workers_that_live_waits_for_a_larger_one_and_says_so(
    api_with: Callable[..., Any], worker: HandWorker, speaks: Callable[..., None]
) -> None:
    async with api_with(worker_classes={"c": SMALL, "large": LARGE}) as api:
        speaks(memory_bytes=SMALL.memory_bytes)
        record = await submitted(api)
        worker.pass_on(worker.claim()[0], outgrown_bytes=SMALL.memory_bytes)

        again = (await api.get(record["links"]["self"])).json()
        timeline = (await api.get(f"{record['links']['self']}/timeline")).json()
        rows = (await api.get("/v1/queues")).json()["queues"]

    assert ("queued", "no_compatible_worker") == (again["status"], again["reason"])
    assert "it has outgrown 4,000 MB of memory; no worker of tier standard is running" == again["reason_detail"]
    assert SMALL.memory_bytes == timeline["outgrown_bytes"]
    assert [1] == [row["depth"] for row in rows if row["outgrown_bytes"] == SMALL.memory_bytes]


async def test_once_a_larger_worker_lives_the_reason_and_the_place_are_those_of_its_queue(
    api_with: Callable[..., Any], worker: HandWorker, speaks: Callable[..., None]
) -> None:
    async with api_with(worker_classes={"c": LARGE}) as api:
        speaks(memory_bytes=LARGE.memory_bytes)
        record = await submitted(api)
        worker.pass_on(worker.claim()[0], outgrown_bytes=SMALL.memory_bytes)
        await submitted(api)

        again = (await api.get(record["links"]["self"])).json()

    assert ("needs_larger_worker", 0) == (again["reason"], again["queue"]["position"])


async def test_a_job_that_has_outgrown_every_class_says_at_once_that_none_can_run_it(
    api_with: Callable[..., Any], worker: HandWorker
) -> None:
    async with api_with(worker_classes={"small": SMALL}) as api:
        record = await submitted(api)
        worker.pass_on(worker.claim()[0], outgrown_bytes=SMALL.memory_bytes)

        again = (await api.get(record["links"]["self"])).json()

    assert "no_compatible_worker" == again["reason"]
    assert (
        "no worker class can run it: small: it has outgrown 4,000 MB, and there are 4,000 MB" == again["reason_detail"]
    )


async def test_a_job_that_waits_for_its_tenants_others_says_so(
    api: httpx2.AsyncClient, worker: HandWorker, speaks: Callable[..., None], connection: SyncRedis, keys: Keys
) -> None:
    speaks()
    connection.run_all(TenantStore(keys).set_caps("default", {"running_jobs": 1}))
    await api.post("/v1/jobs", json=BODY)
    [running] = worker.claim()

    waiting = (await api.post("/v1/jobs", json=BODY)).json()
    seen = (await api.get(f"/v1/jobs/{waiting['id']}")).json()

    assert [record["reason"] for record in (waiting, seen)] == ["tenant_limit"] * 2
    assert seen["queue"] == {"position": 0, "batches_ahead": None, "eta": None}
    assert worker.claim() == []
    worker.succeed(running)
    assert (await api.get(f"/v1/jobs/{waiting['id']}")).json()["reason"] == "waiting_turn"
    assert len(worker.claim()) == 1
