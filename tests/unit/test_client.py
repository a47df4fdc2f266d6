"""The client's persistence: against an API that misbehaves as told."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import orjson
import pytest

from headrace.async_client import AsyncClient
from headrace.client import Client
from headrace.errors import (
    HeadraceError,
    InternalError,
    InvalidInput,
    JobExpired,
    QueueFull,
    RequestError,
    Unavailable,
)
from headrace.handles import Job
from headrace.http_answer import problem
from headrace.http_call import Answer
from headrace.job_record import JobRecord, JobRecords
from headrace.jobs import JobStatus
from headrace.persistence import Patience
from headrace.progress import told

URL = "http://api.test"
QUEUED = {"id": "c1-a", "status": "queued", "reason": "waiting_turn"}
ENDED = {"id": "c1-a", "status": "succeeded", "reason": None, "result": 42}
BUSY = httpx2.Response(503, json={"code": "redis_unavailable", "detail": "busy", "retry_after_ms": 1})

Reply = httpx2.Response | Exception


class Scripted:
    """Answers with the given replies in turn and keeps the requests."""

    def __init__(self, *replies: Reply) -> None:
        self._replies: Iterator[Reply] = iter(replies)
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        reply = next(self._replies)
        if isinstance(reply, Exception):
            raise reply
        return httpx2.Response(reply.status_code, headers=reply.headers, content=reply.content)

    def keys(self) -> list[str]:
        return [request.headers["idempotency-key"] for request in self.requests]


def client_of(api: Scripted, **patience: Any) -> Client:
    settings = {"first_pause_s": 0.001, "longest_pause_s": 0.001} | patience
    return Client(URL, patience=Patience(**settings), transport=httpx2.MockTransport(api))


def test_a_submission_is_repeated_with_the_same_key_until_it_is_answered() -> None:
    api = Scripted(httpx2.ConnectError("refused"), BUSY, httpx2.ReadError("cut"), httpx2.Response(202, json=QUEUED))

    with client_of(api) as client:
        job = client.submit("m", 1)

    assert job.id == "c1-a"
    assert len(api.keys()) == 4
    assert len(set(api.keys())) == 1


def test_two_submissions_carry_different_keys() -> None:
    api = Scripted(*[httpx2.Response(202, json=QUEUED)] * 2)

    with client_of(api) as client:
        client.submit("m", 1)
        client.submit("m", 1)

    assert len(set(api.keys())) == 2


def test_a_refusal_is_not_repeated() -> None:
    body = {"code": "invalid_input", "detail": "no", "errors": [{"pointer": "/input", "code": "c", "detail": "d"}]}
    api = Scripted(httpx2.Response(422, json=body))

    with client_of(api) as client, pytest.raises(InvalidInput) as refused:
        client.submit("m", 1)

    assert refused.value.fields[0].pointer == "/input"
    assert len(api.requests) == 1


def test_a_wait_goes_on_over_open_answers_and_lost_connections() -> None:
    api = Scripted(
        httpx2.Response(200, json=QUEUED), httpx2.RemoteProtocolError("restarted"), httpx2.Response(200, json=ENDED)
    )

    with client_of(api) as client:
        assert client.wait("c1-a").result() == 42
    assert [request.headers["prefer"] for request in api.requests] == ["wait=30"] * 3


@pytest.mark.parametrize("status", [status for status in JobStatus if status.is_terminal])
def test_a_wait_ends_with_every_terminal_state(status: JobStatus) -> None:
    api = Scripted(httpx2.Response(200, json=QUEUED), httpx2.Response(200, json={**ENDED, "status": status}))

    with client_of(api) as client:
        assert client.wait("c1-a").status is status


def test_a_wait_for_a_job_that_is_no_longer_kept_says_so() -> None:
    gone = httpx2.Response(410, json={"code": "job_expired", "detail": "gone"})

    with client_of(Scripted(httpx2.Response(200, json=QUEUED), gone)) as client, pytest.raises(JobExpired):
        client.wait("c1-a")


def test_an_api_that_stays_away_is_given_up_with_its_address() -> None:
    clock = iter(range(1000))
    api = Scripted(*[httpx2.ConnectError("refused")] * 1000)

    with client_of(api, give_up_s=10, now=lambda: float(next(clock))) as client, pytest.raises(Unavailable, match=URL):
        client.get("c1-a")
    assert len(api.requests) < 15


def test_pauses_double_up_to_a_limit_and_never_undercut_the_server() -> None:
    patience = Patience(first_pause_s=1, longest_pause_s=5, jitter=lambda: 1.0)
    lucky = Patience(first_pause_s=1, longest_pause_s=5, jitter=lambda: 0.0)

    assert [patience.pause_s(attempt, None) for attempt in range(5)] == [1, 2, 4, 5, 5]
    assert lucky.pause_s(0, 7) == 7


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (410, b'{"code":"job_expired","detail":"gone"}', JobExpired),
        (429, b'{"code":"queue_full","detail":"full"}', QueueFull),
        (422, b'{"code":"of a newer server","detail":"no"}', RequestError),
        (502, b"<html>bad gateway</html>", Unavailable),
        (500, b"", InternalError),
        (404, b"[]", RequestError),
    ],
)
def test_every_error_answer_becomes_an_error_of_the_tree(status: int, body: bytes, kind: type[HeadraceError]) -> None:
    assert kind is type(problem(Answer(status, {}, body)))


def test_a_server_that_is_no_headrace_is_said_to_be_none() -> None:
    api = Scripted(httpx2.Response(200, text="<html>hello</html>"))

    with client_of(api) as client, pytest.raises(InternalError, match="not answered by a Headrace API"):
        client.queues()


def test_an_input_that_is_not_json_is_refused_before_it_is_sent() -> None:
    api = Scripted()

    with client_of(api) as client, pytest.raises(RequestError, match=r"cannot be written as JSON: .*object"):
        client.submit("m", object())
    assert api.requests == []


@pytest.mark.parametrize(
    "act", [lambda client: client.submit("m", 1), lambda client: client.run("m", 1)], ids=["submit", "run"]
)
async def test_the_async_client_is_as_persistent(act: Callable[[AsyncClient], Any]) -> None:
    api = Scripted(httpx2.ConnectError("refused"), BUSY, httpx2.Response(200, json=ENDED))
    patience = Patience(first_pause_s=0.001)

    async with AsyncClient(URL, patience=patience, transport=httpx2.MockTransport(api)) as client:
        await act(client)

    assert len(set(api.keys())) == 1
    assert len(api.requests) == 3


# --- many at once ----------------------------------------------------------------------------------------------------

REFUSED = {"code": "invalid_input", "status": 422, "detail": "no", "errors": []}


def bulk_answer(*items: dict[str, Any] | None) -> httpx2.Response:
    """One item a job: None was accepted."""
    jobs = [{"id": None if error else f"c1-{n}", "known": False, "error": error} for n, error in enumerate(items)]
    return httpx2.Response(200, json={"jobs": jobs})


def test_a_refused_one_of_many_stands_in_its_place_as_an_error() -> None:
    api = Scripted(bulk_answer(None, REFUSED, None))

    with client_of(api) as client:
        first, second, third = client.submit_many("m", [1, 2, 3], tier="spot")

    assert ["c1-0", "c1-2"] == [job.id for job in (first, third) if isinstance(job, Job)]
    assert isinstance(second, InvalidInput)
    assert orjson.loads(api.requests[0].content)[1] == {"model": "m", "input": 2, "options": {"tier": "spot"}}


def test_many_are_handed_in_by_a_thousand_and_by_eight_megabytes() -> None:
    by_count = Scripted(bulk_answer(*[None] * 1000), bulk_answer(None))
    by_bytes = Scripted(bulk_answer(None), bulk_answer(None))

    with client_of(by_count) as client:
        assert len(client.submit_many("m", range(1001))) == 1001
    with client_of(by_bytes) as client:
        client.submit_many("m", ["x" * 5_000_000] * 2)

    assert [1000, 1] == [len(orjson.loads(request.content)) for request in by_count.requests]
    assert [1, 1] == [len(orjson.loads(request.content)) for request in by_bytes.requests]


def test_each_request_of_many_is_repeated_under_a_key_of_its_own() -> None:
    api = Scripted(bulk_answer(*[None] * 1000), BUSY, bulk_answer(None))

    with client_of(api) as client:
        client.submit_many("m", range(1001), key="load")

    assert ["load-0", "load-1", "load-1"] == api.keys()


async def test_the_async_client_hands_in_many_too() -> None:
    api = Scripted(bulk_answer(None, None))

    async with AsyncClient(URL, transport=httpx2.MockTransport(api)) as client:
        assert len(await client.submit_many("m", iter([1, 2]))) == 2


def page_of(*ids: str, cursor: str | None) -> httpx2.Response:
    return httpx2.Response(200, json={"jobs": [{**QUEUED, "id": one} for one in ids], "next": cursor})


def test_a_list_goes_through_pages_also_empty_ones_until_it_has_enough() -> None:
    api = Scripted(page_of("a", "b", cursor="1"), page_of(cursor="2"), page_of("c", "d", cursor="3"))

    with client_of(api) as client:
        found = client.jobs(limit=3)

    assert ["a", "b", "c"] == [record.id for record in found]
    assert ["3", "1", "1"] == [request.url.params["limit"] for request in api.requests]
    assert ["1", "2"] == [request.url.params["cursor"] for request in api.requests[1:]]


async def test_a_list_ends_with_the_last_page_and_says_what_it_wants() -> None:
    api = Scripted(page_of("a", cursor=None))
    when = datetime(2026, 1, 1, tzinfo=UTC)

    async with AsyncClient(URL, transport=httpx2.MockTransport(api)) as client:
        found = await client.jobs(status="failed", created_after=when, metadata={"customer": "4 2"})

    assert ["a"] == [record.id for record in found]
    wanted = {
        "status": "failed",
        "created_after": "2026-01-01T00:00:00+00:00",
        "metadata.customer": "4 2",
        "limit": "50",
    }
    assert wanted == dict(api.requests[0].url.params)


# --- what people see -------------------------------------------------------------------------------------------------


def test_a_notebook_shows_a_table_in_which_nothing_is_markup() -> None:
    failed = {
        "id": "c1-a",
        "status": "failed",
        "model": {"name": "m", "version": 3},
        "times": {"created": "2026-01-01T00:00:00.000Z", "started": None},
        "error": {"cause": "model", "detail": "<script>"},
    }
    html = JobRecord.from_document(failed)._repr_html_()

    assert "<th>model</th><td>m@3</td>" in html
    assert "<td>model: &lt;script&gt;</td>" in html
    assert "started" not in html


def test_jobs_are_one_table_in_a_notebook_and_a_line_each_in_a_terminal() -> None:
    records = JobRecords(
        [JobRecord.from_document(QUEUED), JobRecord.from_document({**ENDED, "metadata": {"<b>": "x"}})]
    )

    html = records._repr_html_()

    assert html.count("<tr>") == 3
    assert "<td>waiting_turn</td>" in html
    assert "metadata" not in repr(records)


def test_a_long_result_is_shortened_in_a_notebook() -> None:
    html = JobRecord.from_document({**ENDED, "result": [0.5] * 1000})._repr_html_()

    assert "[0.5,0.5," in html
    assert len(html) < 1000


def test_a_handle_shows_how_its_job_was_handed_in_without_asking() -> None:
    api = Scripted(httpx2.Response(202, json=QUEUED))

    with client_of(api) as client:
        assert "waiting_turn" in client.submit("m", 1)._repr_html_()
    assert len(api.requests) == 1


def test_progress_is_told_drawn_or_neither(capsys: pytest.CaptureFixture[str]) -> None:
    told_to: list[int] = []

    for progress, whom in ((told_to.append, told_to.append), (False, None)):
        with told(progress, [1]) as tell:
            assert tell == whom
    with told(True, iter([1, 2])) as tell:
        assert tell is not None
        tell(2)

    assert capsys.readouterr().out == ""


def test_a_deletion_whose_answer_was_lost_is_done_when_the_job_is_gone() -> None:
    gone = httpx2.Response(410, json={"code": "job_expired", "detail": "it is gone"})
    api = Scripted(httpx2.ReadError("cut"), gone)

    assert client_of(api).erase("c1-a") is None
    assert ["DELETE", "DELETE"] == [request.method for request in api.requests]


def test_a_submission_under_an_id_of_ones_own_needs_no_key() -> None:
    api = Scripted(BUSY, httpx2.Response(202, json={**QUEUED, "id": "mine"}))

    assert client_of(api).submit("m", 1, job_id="mine").id == "mine"
    assert [("PUT", "/v1/jobs/mine", False)] * 2 == [
        (request.method, request.url.path, "idempotency-key" in request.headers) for request in api.requests
    ]


@pytest.mark.parametrize(
    ("named", "sent"),
    [
        ("https://example.com/done", {"url": "https://example.com/done"}),
        ("ep_5f0c6a1d2b3c4d5e6f70", {"endpoint": "ep_5f0c6a1d2b3c4d5e6f70"}),
    ],
)
def test_a_webhook_is_named_by_its_url_or_as_a_registered_receiver(named: str, sent: dict[str, str]) -> None:
    api = Scripted(httpx2.Response(202, json=QUEUED))

    with client_of(api) as client:
        client.submit("m", 1, webhook=named)

    assert sent == orjson.loads(api.requests[0].content)["webhook"]


def test_what_a_prompt_shows_is_one_line() -> None:
    record = JobRecord.from_document({**ENDED, "model": {"name": "m", "version": 2}})

    assert "JobRecord('c1-a', succeeded, m@2)" == repr(record)
    assert f"Client('{URL}')" == repr(Client(URL))
