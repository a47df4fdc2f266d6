"""Lists with filters and cursors, answers that need not be sent again, and results in parts."""

from typing import Any

import httpx2
import pytest

from api.listing import Cursor
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from tests.contract.conftest import HandWorker

BODY: dict[str, Any] = {"model": "greeter", "input": {"text": "world"}}


async def submitted(api: httpx2.AsyncClient, **fields: Any) -> str:
    job_id: str = (await api.post("/v1/jobs", json={**BODY, **fields})).json()["id"]
    return job_id


async def listed(api: httpx2.AsyncClient, query: str = "") -> list[str]:
    answer = await api.get(f"/v1/jobs?{query}")
    assert answer.status_code == 200, answer.text
    return [record["id"] for record in answer.json()["jobs"]]


# --- filters -------------------------------------------------------------------------------------------------


async def test_a_list_shows_the_jobs_that_fit_all_of_the_filter(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    done = await submitted(api, metadata={"customer": "42", "shop": "a"})
    [job] = worker.claim()
    worker.succeed(job, b'"hello"')
    spot = await submitted(api, metadata={"customer": "42"}, options={"tier": "spot"})
    plain = await submitted(api)

    found = {
        query: await listed(api, query)
        for query in (
            "status=queued",
            "status=succeeded",
            "tier=spot",
            "model=greeter@1",
            "model=other",
            "metadata.customer=42",
            "metadata.customer=42&metadata.shop=a",
            "metadata.customer=42&status=queued",
            "metadata.none=1",
        )
    }

    assert list(found.values()) == [
        [plain, spot],
        [done],
        [spot],
        [plain, spot, done],
        [],
        [spot, done],
        [done],
        [spot],
        [],
    ]


async def test_a_list_shows_the_jobs_of_a_time(api: httpx2.AsyncClient, connection: SyncRedis, store: JobStore) -> None:
    ids = [await submitted(api) for _ in range(3)]
    scores = {f"default/{job_id}": ms for job_id, ms in zip(ids, (1_000, 2_000, 3_000), strict=True)}
    connection.client.zadd(store.keys.index("default"), scores)

    assert ids[:0:-1] == await listed(api, "created_after=1970-01-01T00:00:01.500Z")
    assert ids[1::-1] == await listed(api, "created_before=1970-01-01T00:00:02.500Z")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("stauts=queued", "/query/stauts"),
        ("status=waiting", "/query/status"),
        ("tier=gold", "/query/tier"),
        ("created_after=yesterday", "/query/created_after"),
        ("created_before=9999-12-31T23:59:59-23:59", "/query/created_before"),
        ("cursor=%00", "/query/cursor"),
        (f"cursor={Cursor(float('nan'), 'c1-x')}", "/query/cursor"),
        (f"cursor={Cursor(float('inf'), 'c1-x')}", "/query/cursor"),
        ("limit=0", "/query/limit"),
    ],
)
async def test_a_filter_that_means_nothing_is_refused(api: httpx2.AsyncClient, query: str, pointer: str) -> None:
    answer = await api.get(f"/v1/jobs?{query}")

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


# --- pages ---------------------------------------------------------------------------------------------------


async def test_pages_show_each_job_once_also_while_others_come_and_go(
    api: httpx2.AsyncClient,
) -> None:
    bulk = (await api.post("/v1/jobs:bulk", json=[BODY] * 230)).json()
    ids = [item["id"] for item in reversed(bulk["jobs"])]
    seen, cursor = [], ""
    while True:
        page = (await api.get("/v1/jobs", params={"limit": 100, "cursor": cursor} if cursor else {"limit": 100})).json()
        seen += [record["id"] for record in page["jobs"]]
        if page["next"] is None:
            break
        cursor = page["next"]
        await submitted(api)  # comes before the first page

    assert ids == seen


async def test_a_page_goes_on_where_the_last_job_of_the_one_before_is_gone(
    api: httpx2.AsyncClient, connection: SyncRedis, store: JobStore
) -> None:
    ids = [await submitted(api) for _ in range(4)]
    first = (await api.get("/v1/jobs?limit=2")).json()
    connection.client.zrem(store.keys.index("default"), f"default/{ids[2]}")

    rest = (await api.get("/v1/jobs", params={"cursor": first["next"]})).json()

    assert ids[1::-1] == [record["id"] for record in rest["jobs"]]
    assert rest["next"] is None


# --- not sent again, or in part ------------------------------------------------------------------------------


async def test_a_job_that_has_not_changed_is_not_sent_again(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    path = f"/v1/jobs/{await submitted(api)}"
    tag = (await api.get(path)).headers["etag"]

    same = await api.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
    [job] = worker.claim()
    worker.succeed(job, b'"hello"')
    changed = await api.get(path, headers={"If-None-Match": tag})

    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert (changed.status_code, changed.headers["etag"] != tag) == (200, True)


@pytest.mark.parametrize(
    ("asked", "status", "content", "said"),
    [
        ("bytes=0-3", 206, b'"hel', "bytes 0-3/7"),
        ("bytes=5-", 206, b'o"', "bytes 5-6/7"),
        ("bytes=-3", 206, b'lo"', "bytes 4-6/7"),
        ("bytes=0-999", 206, b'"hello"', "bytes 0-6/7"),
        ("bytes=0-1,3-4", 200, b'"hello"', None),
        ("lines=0-1", 200, b'"hello"', None),
        (f"bytes=0-{'9' * 5000}", 200, b'"hello"', None),
    ],
)
async def test_a_result_comes_in_parts_to_who_asks_for_them(
    api: httpx2.AsyncClient, worker: HandWorker, asked: str, status: int, content: bytes, said: str | None
) -> None:
    job_id = await submitted(api)
    [job] = worker.claim()
    worker.succeed(job, b'"hello"')

    answer = await api.get(f"/v1/jobs/{job_id}/result", headers={"Range": asked})

    assert (answer.status_code, answer.content, answer.headers.get("content-range")) == (status, content, said)
    assert answer.headers["accept-ranges"] == "bytes"


async def test_a_part_that_a_result_does_not_have_is_refused_and_one_of_another_result_is_not_given(
    api: httpx2.AsyncClient, worker: HandWorker
) -> None:
    path = f"/v1/jobs/{await submitted(api)}/result"
    [job] = worker.claim()
    worker.succeed(job, b'"hello"')

    beyond = await api.get(path, headers={"Range": "bytes=7-"})
    others = await api.get(path, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    known = await api.get(path, headers={"If-None-Match": others.headers["etag"]})

    assert (beyond.status_code, beyond.json()["code"]) == (416, "range_not_satisfiable")
    assert (others.status_code, others.content) == (200, b'"hello"')
    assert (known.status_code, known.content) == (304, b"")


async def test_a_result_that_is_no_longer_kept_is_gone(
    api: httpx2.AsyncClient, worker: HandWorker, connection: SyncRedis, store: JobStore
) -> None:
    job_id = await submitted(api)
    [job] = worker.claim()
    worker.succeed(job, b'"hello"')
    connection.client.delete(store.keys.output(f"default/{job_id}"))

    answer = await api.get(f"/v1/jobs/{job_id}/result")

    assert (answer.status_code, answer.json()["code"]) == (410, "job_expired")


# --- cancelling ----------------------------------------------------------------------------------------------


async def test_cancelling_says_what_becomes_of_the_job_and_by_when(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    waiting, running = await submitted(api, options={"tier": "spot"}), await submitted(api)
    [job] = worker.claim()
    worker.start(job)

    dropped = await api.post(f"/v1/jobs/{waiting}/cancel")
    discarded = await api.post(f"/v1/jobs/{running}/cancel")
    record = discarded.json()
    worker.succeed(job, b'"hello"')
    ended = (await api.get(f"/v1/jobs/{running}")).json()

    assert (dropped.status_code, dropped.json()["status"], dropped.json()["cancel"]["mode"]) == (
        200,
        "canceled",
        "dropped",
    )
    assert (discarded.status_code, record["status"], record["cancel"]["mode"]) == (202, "canceling", "discarded")
    assert record["times"]["started"] < record["cancel"]["effective_by"]
    assert (ended["status"], ended["cancel"]["mode"]) == ("canceled", "discarded")
    assert ended["cancel"]["effective_by"] == ended["times"]["finished"]
    assert (await api.get(f"/v1/jobs/{running}/result")).status_code == 409
