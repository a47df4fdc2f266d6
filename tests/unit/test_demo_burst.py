"""The demo's burst: what is sent, what is seen of it, what is drawn, what is checked."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from rich.console import Console
from standardwebhooks import Webhook

from examples.demo.burst import Burst, Outcome, read_outcome, send_burst
from examples.demo.burst_checks import check_back, check_first_extra, check_ran_once, check_succeeded, check_webhooks
from examples.demo.chart import draw_chart, save_chart
from examples.demo.figures import burst_rows
from examples.demo.picture import draw, resample
from examples.demo.receiver import Receiver
from examples.demo.report import Report
from examples.demo.timeline import Sample, Watch, read_sample, watching, with_start
from headrace.async_client import AsyncClient
from headrace.jobs import JobStatus
from headrace.tiers import Tier
from headrace.webhooks import new_secret

DONE = Outcome("c1-1", Tier.PRIORITY, JobStatus.SUCCEEDED, attempts=1, waited_s=0.5)


def sample(at_s: float, *waiting: int, wanted: int = 1, ready: int = 1, starting: int = 0, draining: int = 0) -> Sample:
    """One moment; `waiting` by tier, the most urgent first."""
    depths = dict(zip(Tier, (*waiting, 0, 0, 0), strict=False))
    return Sample(at_s, depths, wanted, ready, starting, draining)


@pytest.fixture
def samples() -> list[Sample]:
    """A burst for which one worker comes and goes."""
    return [
        sample(-1.0),
        sample(0.0),
        sample(1.0, 4, 16, 16, wanted=2),
        sample(2.0, 0, 8, 16, wanted=2, starting=1),
        sample(3.0, 0, 0, 8, wanted=2, ready=2),
        sample(4.0, ready=1, draining=1),
        sample(5.0),
    ]


def burst(*outcomes: Outcome) -> Burst:
    return Burst(list(outcomes), announced=set(), accepted_s=1.0, took_s=2.0)


# --- what is sent ------------------------------------------------------------------------------------------------


class FakeApi:
    """Accepts every job and ends it at once."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v1/jobs:bulk":
            jobs = [{"id": self._take(body), "error": None} for body in orjson.loads(request.content)]
            return httpx2.Response(200, json={"accepted": len(jobs), "jobs": jobs})
        if request.method == "POST":
            self._take(orjson.loads(request.content))
            return httpx2.Response(202, json=self._record(len(self.bodies) - 1, "queued"))
        return httpx2.Response(200, json=self._record(int(request.url.path.rpartition("-")[2]), "succeeded"))

    def _take(self, body: Any) -> str:
        self.bodies.append(body)
        return f"c1-{len(self.bodies) - 1}"

    def _record(self, index: int, status: str) -> dict[str, Any]:
        created, started = "2030-01-01T00:00:00.000Z", "2030-01-01T00:00:01.500Z"
        tier = self.bodies[index]["options"]["tier"]
        times = {"created": created, "started": started}
        return {"id": f"c1-{index}", "status": status, "tier": tier, "attempts": 1, "times": times}


async def test_each_sentence_is_sent_in_each_tier_and_every_tenth_job_has_a_webhook() -> None:
    api = FakeApi()
    texts = [str(n) for n in range(10)]

    async with AsyncClient("http://api", transport=httpx2.MockTransport(api)) as client:
        sent = await send_burst(client, texts, receiver_url="http://127.0.0.1:9/jobs")

    assert {(text, tier) for text in texts for tier in Tier} == {
        (body["input"]["text"], body["options"]["tier"]) for body in api.bodies
    }
    told = [body for body in api.bodies if body.get("webhook")]
    assert len(told) == 3
    assert {f"c1-{n}" for n, body in enumerate(api.bodies) if body.get("webhook")} == sent.announced
    assert set(Tier) == {body["options"]["tier"] for body in told}
    assert len(sent.outcomes) == 30


def test_an_outcome_is_read_from_the_record_of_a_job() -> None:
    times = {"created": "2030-01-01T00:00:00.000Z", "started": "2030-01-01T00:00:01.500Z"}
    record = {"id": "c1-1", "tier": "spot", "status": "succeeded", "attempts": 2, "times": times}

    assert Outcome("c1-1", Tier.SPOT, JobStatus.SUCCEEDED, 2, 1.5) == read_outcome(record)


def test_a_job_that_never_ran_has_no_wait() -> None:
    times = {"created": "2030-01-01T00:00:00.000Z", "started": None}
    record = {"id": "c1-1", "tier": "spot", "status": "canceled", "attempts": 0, "times": times}

    assert read_outcome(record).waited_s is None


# --- what is received --------------------------------------------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(secret=SECRET) as running:
        yield running


SECRET = new_secret()
EVENT = b'{"type": "job.succeeded", "data": {"job": {"id": "c1-1"}}}'


def post_event(receiver: Receiver, *, secret: str) -> int:
    now = datetime.now(UTC)
    headers = {
        "webhook-id": "c1-1-1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign("c1-1-1", now, EVENT.decode()),
    }
    return httpx2.post(receiver.url, content=EVENT, headers=headers, trust_env=False).status_code


def test_a_signed_webhook_is_accepted_and_noted(receiver: Receiver) -> None:
    assert post_event(receiver, secret=SECRET) == 204

    receiver.wait_for({"c1-1"}, 5.0)

    assert receiver.deliveries == ["c1-1"]
    assert receiver.refused == 0


def test_a_webhook_that_another_secret_signed_is_refused(receiver: Receiver) -> None:
    assert post_event(receiver, secret=new_secret()) == 401

    assert receiver.deliveries == []
    assert receiver.refused == 1


def test_a_webhook_that_does_not_come_is_not_waited_for_for_ever(receiver: Receiver) -> None:
    receiver.wait_for({"c1-2"}, 0.01)

    assert receiver.deliveries == []


# --- what is seen ------------------------------------------------------------------------------------------------


def test_a_sample_counts_jobs_by_tier_and_workers_by_what_they_do() -> None:
    queues = [
        {"tier": "priority", "depth": 2},
        {"tier": "spot", "depth": 3},
        {"tier": "spot", "depth": 4},
    ]
    workers: list[dict[str, str | None]] = [
        {"state": "ready", "ready": "2030-01-01T00:00:00.000Z"},
        {"state": "ready", "ready": None},
        {"state": "starting", "ready": None},
        {"state": "draining", "ready": "2030-01-01T00:00:00.000Z"},
    ]

    seen = read_sample(1.0, queues=queues, workers=workers, classes=[{"count": 2}, {"count": 1}])

    assert sample(1.0, 2, 0, 7, wanted=3, ready=1, starting=2, draining=1) == seen
    assert seen.depth == 9
    assert seen.alive == 4


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (sample(0.0), True),
        (sample(0.0, 1), False),
        (sample(0.0, wanted=2), False),
        (sample(0.0, draining=1), False),
        (sample(0.0, ready=0, starting=1), False),
    ],
)
def test_it_is_idle_when_nothing_waits_and_only_the_least_workers_are_there(seen: Sample, *, expected: bool) -> None:
    assert expected == seen.is_idle(1)


def answer_overview(request: httpx2.Request) -> httpx2.Response:
    """What an API with one worker says."""
    worker = {"id": "w1", "state": "ready", "ready": "2020-01-01T00:00:02Z", "started": "2020-01-01T00:00:00Z"}
    documents = {
        "/v1/queues": {"queues": [{"tier": "spot", "depth": 3}]},
        "/v1/workers": {"workers": [worker]},
        "/v1/scaling": {"classes": [{"count": 2}], "changes": [{"before": 1}]},
    }
    return httpx2.Response(200, json=documents[request.url.path])


async def test_a_watch_remembers_what_the_api_says_and_counts_from_the_burst() -> None:
    shown: list[int] = []
    async with AsyncClient("http://api", transport=httpx2.MockTransport(answer_overview)) as client:
        watch = Watch(client, lambda samples: shown.append(len(samples)))
        await watch.look()
        watch.begin()
        await watch.look()

    before, after = watch.samples
    assert before.at_s < 0 <= after.at_s
    assert sample(after.at_s, 0, 0, 3, wanted=2) == after
    assert [{"before": 1}] == watch.changes
    assert shown == [1, 2]


async def test_a_worker_counts_from_the_start_of_its_process_although_it_speaks_later() -> None:
    worker = {"id": "w2", "state": "starting", "ready": None, "started": "2020-01-01T00:00:00Z"}

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v1/workers" and len(watch.samples) == 2:
            return httpx2.Response(200, json={"workers": [worker]})
        return answer_overview(request)

    async with AsyncClient("http://api", transport=httpx2.MockTransport(answer)) as client:
        watch = Watch(client, lambda _: None)
        for _ in range(3):
            await watch.look()

    assert [1, 1, 1] == [seen.starting for seen in watch.samples]


async def test_only_workers_that_were_started_since_the_burst_began_are_extra() -> None:
    async with AsyncClient("http://api", transport=httpx2.MockTransport(answer_overview)) as client:
        watch = Watch(client, lambda _: None)
        await watch.look()
        assert watch.first_extra_s is None

        watch.started_s |= {"w2": 1.5, "w3": 4.0}

        assert watch.first_extra_s == 1.5


def test_samples_from_before_a_start_stay_as_they_were(samples: list[Sample]) -> None:
    assert [0, 0, 0, 2, 1, 1, 1] == [seen.starting for seen in with_start(samples, 2.0)]


async def test_while_it_is_watched_one_can_wait_for_what_is_to_be_seen() -> None:
    async with (
        AsyncClient("http://api", transport=httpx2.MockTransport(answer_overview)) as client,
        watching(client) as watch,
    ):
        assert await watch.until(lambda seen: seen.depth == 3, limit_s=10.0)
        assert not await watch.until(lambda seen: seen.depth == 4, limit_s=0.01)


# --- what is drawn -----------------------------------------------------------------------------------------------


PICTURE = """\

waiting  priority     ▄▄▄        4
                      ███
         standard     █████      16
                      █████
         spot         ███████    16
         2            ···░░██▒▒
workers  1        ██████████████
                    0 s
                  █ ready  ░ starting  ▒ draining  · wanted
"""


def test_the_picture_shows_jobs_by_tier_and_each_worker(samples: list[Sample]) -> None:
    drawn = draw(samples, width=37).plain

    assert PICTURE.splitlines() == [line.rstrip() for line in drawn.splitlines()]


def test_the_picture_can_be_drawn_from_the_first_sample_on() -> None:
    assert "workers  1        █████████" in draw([sample(-2.0)], width=10).plain


def test_a_column_of_the_picture_shows_the_most_that_waited_in_its_time() -> None:
    seen = [sample(0.0, 1), sample(1.0, 9), sample(2.0, 3), sample(9.0, 2)]

    columns = resample(seen, 3)

    assert [9, 9, 2] == [column.depth for column in columns]
    assert [0.0, 3.0, 6.0] == [column.at_s for column in columns]


def test_without_a_terminal_only_the_last_picture_is_printed(samples: list[Sample]) -> None:
    out = io.StringIO()
    report = Report(Console(file=out, width=80))

    with report.picture() as show:
        show(samples[:3])
        show(samples)
    report.text("after")

    lines = out.getvalue().splitlines()
    assert sum("workers" in line for line in lines) == 1
    assert lines[-1] == "after"


def test_the_chart_names_its_axes_units_and_areas(samples: list[Sample]) -> None:
    figure = draw_chart(samples, title="A burst", first_extra_s=1.25)

    jobs, workers = figure.axes
    legends = [
        [text.get_text() for text in legend.get_texts()] for axes in figure.axes if (legend := axes.get_legend())
    ]
    assert figure.get_suptitle() == "A burst"
    assert (jobs.get_ylabel(), workers.get_ylabel()) == ("waiting jobs", "worker processes")
    assert workers.get_xlabel() == "seconds since the burst began"
    assert legends == [["spot", "standard", "priority"], ["wanted", "starting", "draining", "ready"]]
    assert ["first extra worker started after 1.2 s"] == [text.get_text() for text in workers.texts]


def test_the_chart_is_a_small_png(samples: list[Sample], tmp_path: Path) -> None:
    path = tmp_path / "burst.png"

    save_chart(path, samples, title="A burst", first_extra_s=None)

    assert path.read_bytes().startswith(b"\x89PNG")
    assert path.stat().st_size < 80_000


def test_the_waits_of_each_tier_are_measured() -> None:
    rows = dict(burst_rows(burst(DONE, DONE._replace(waited_s=1.5), DONE._replace(tier=Tier.SPOT, waited_s=4.0))))

    assert rows["throughput"] == "2 jobs/s (3 in 2.0 s)"
    assert rows["accepted to started, priority"] == "p50 0.5 s, p99 1.5 s"
    assert rows["accepted to started, spot"] == "p50 4.0 s, p99 4.0 s"
    assert "accepted to started, standard" not in rows


# --- what is checked ---------------------------------------------------------------------------------------------


def test_a_job_that_failed_is_noticed() -> None:
    assert check_succeeded(burst(DONE)).holds

    check = check_succeeded(burst(DONE, DONE._replace(status=JobStatus.FAILED)))

    assert not check.holds
    assert check.found == "1 failed, 1 succeeded"


def test_a_job_that_ran_twice_is_noticed() -> None:
    assert check_ran_once(burst(DONE)).holds

    check = check_ran_once(burst(DONE, DONE._replace(attempts=2)))

    assert not check.holds
    assert check.found == "1 ran again"


def test_a_webhook_that_came_twice_is_as_good_as_one() -> None:
    check = check_webhooks({"a", "b"}, ["a", "b", "a"], 0)

    assert check.holds
    assert check.found == "2 of 2 jobs in 3 deliveries, 0 not signed"


@pytest.mark.parametrize(("deliveries", "refused"), [(["a"], 0), (["a", "b"], 1), (["a", "c"], 0)])
def test_a_webhook_that_is_missing_or_not_signed_is_noticed(deliveries: list[str], refused: int) -> None:
    assert not check_webhooks({"a", "b"}, deliveries, refused).holds


@pytest.mark.parametrize(("first_extra_s", "expected"), [(0.5, True), (2.0, True), (2.1, False), (None, False)])
def test_an_extra_worker_that_comes_late_or_never_is_noticed(first_extra_s: float | None, *, expected: bool) -> None:
    assert expected == check_first_extra(first_extra_s).holds


def test_workers_that_stay_or_never_came_are_noticed(samples: list[Sample]) -> None:
    assert check_back(samples, 1).holds

    assert not check_back(samples[:-1], 1).holds
    assert not check_back([samples[0], samples[-1]], 1).holds
