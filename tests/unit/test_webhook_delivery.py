"""What follows from an attempt, what an event says, and how it is signed."""

import base64
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from headrace.errors import SettingsError
from headrace.jobs import Job, JobStatus, Progress
from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from headrace.webhook_event import body_of
from headrace.webhook_signature import signed_headers
from headrace.webhooks import DeliveryState, DueDelivery, Earlier, event_id_of, key_of, new_secret
from workers.webhooks.messenger import retry_after_s
from workers.webhooks.schedule import DELAYS_S, JITTER, Answer, Verdict, judge

PENDING, DELIVERED, FAILED = DeliveryState.PENDING, DeliveryState.DELIVERED, DeliveryState.FAILED
ANSWER_500 = Answer("http_500", 500)


def due(status: JobStatus = JobStatus.SUCCEEDED, output: bytes | None = b'{"x":1}') -> DueDelivery:
    job = Job(
        id="c1-abc",
        tenant="default",
        ref=ModelRef("m", 3),
        tier=Tier.SPOT,
        status=status,
        fence=1,
        attempts=2,
        max_attempts=3,
        score=0,
        created_ms=1_000,
        started_ms=2_000,
        ended_ms=3_000,
        cause="model" if status is JobStatus.FAILED else None,
        has_webhook=True,
    )
    return DueDelivery("default/c1-abc:1", 7, 1, "https://example.com", job, output)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_the_end(status: int) -> None:
    assert Verdict(DELIVERED) == judge(Answer(f"http_{status}", status), attempts=1, luck=0.5)


@pytest.mark.parametrize("status", [0, 100, 301, 302, 307, 400, 401, 404, 429, 500, 503])
def test_anything_else_is_tried_again(status: int) -> None:
    assert judge(Answer("x", status), attempts=1, luck=0.5) == Verdict(PENDING, 5_000)


def test_410_is_given_up_at_once() -> None:
    assert judge(Answer("http_410", 410), attempts=1, luck=0.5) == Verdict(FAILED)


def test_the_delays_are_those_of_the_schedule_and_the_last_attempt_is_the_tenth() -> None:
    verdicts = [judge(ANSWER_500, attempts=attempts, luck=0.5) for attempts in range(1, 11)]

    assert [0, 5, 30, 120, 600, 1_800, 7_200, 21_600, 43_200, 86_400] == list(DELAYS_S)
    assert [Verdict(PENDING, 1_000 * delay_s) for delay_s in DELAYS_S[1:]] == verdicts[:9]
    assert verdicts[9] == Verdict(FAILED)


def test_delays_vary_by_a_fifth() -> None:
    delays = [judge(ANSWER_500, attempts=2, luck=luck).delay_ms for luck in (0.0, 1.0)]

    assert JITTER == 0.2
    assert [24_000, 36_000] == delays


@pytest.mark.parametrize(("status", "delay_ms"), [(429, 100_000), (503, 100_000), (500, 5_000)])
def test_429_and_503_may_ask_for_a_longer_pause(status: int, delay_ms: int) -> None:
    assert delay_ms == judge(Answer("x", status, 100.0), attempts=1, luck=0.5).delay_ms


def test_nobody_may_ask_for_more_than_a_day_or_less_than_the_schedule() -> None:
    assert judge(Answer("x", 429, 1e9), attempts=1, luck=0.5).delay_ms == 86_400_000
    assert judge(Answer("x", 429, 1.0), attempts=3, luck=0.5).delay_ms == 120_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("Tue, 01 Jan 2030 00:01:00 GMT", 60),
        ("Mon, 31 Dec 2029 00:00:00 GMT", 0),
        ("-5", 0),
        ("soon", 0),
        ("", 0),
        ("1" * 400, 111_111_111),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999", 0),
        ("٣", 0),
    ],
)
def test_retry_after_is_seconds_or_a_date_or_nothing(text: str, seconds: float) -> None:
    assert seconds == retry_after_s(text, datetime(2030, 1, 1, tzinfo=UTC))


def test_an_event_says_what_became_of_the_job() -> None:
    event = json.loads(body_of(due()))

    assert (event["type"], event["timestamp"]) == ("job.succeeded", "1970-01-01T00:00:03.000Z")
    assert event["data"]["seq"] == 1
    job = event["data"]["job"]
    assert (job["id"], job["status"], job["result"], job["error"]) == ("c1-abc", "succeeded", {"x": 1}, None)
    assert job["links"]["result"] == "/v1/jobs/c1-abc/result"


def test_a_failed_job_tells_why() -> None:
    job = json.loads(body_of(due(JobStatus.FAILED, b'{"cause":"model","detail":"broke"}')))["data"]["job"]

    assert job["error"] == {"cause": "model", "detail": "broke"}
    assert "result" not in job


def test_a_start_says_what_was_true_then_whatever_the_job_is_now() -> None:
    started = due()._replace(output=None, earlier=Earlier("job.started", 1_500, 1))

    event = json.loads(body_of(started))

    assert ("job.started", "1970-01-01T00:00:01.500Z") == (event["type"], event["timestamp"])
    job = event["data"]["job"]
    assert ("running", 1, None) == (job["status"], job["attempts"], job["times"]["finished"])
    assert "1970-01-01T00:00:01.500Z" == job["times"]["started"]
    assert "result" not in job


def test_progress_says_how_far_the_job_was_and_when_that_pass_had_begun() -> None:
    said = due()._replace(output=None, earlier=Earlier("job.progress", 1_500, 1, 1_200, Progress(0.5, "half", 1_500)))

    event = json.loads(body_of(said))

    assert ("job.progress", "1970-01-01T00:00:01.500Z") == (event["type"], event["timestamp"])
    job = event["data"]["job"]
    assert {"fraction": 0.5, "message": "half", "at": "1970-01-01T00:00:01.500Z"} == job["progress"]
    assert ("running", "1970-01-01T00:00:01.200Z") == (job["status"], job["times"]["started"])


@pytest.mark.parametrize("status", [JobStatus.CANCELED, JobStatus.EXPIRED, JobStatus.SUCCEEDED])
def test_without_an_output_there_is_no_result_but_where_it_is(status: JobStatus) -> None:
    job = json.loads(body_of(due(status, None)))["data"]["job"]

    assert "result" not in job
    assert job["links"]["result"]


def test_an_event_is_the_same_in_each_attempt() -> None:
    assert body_of(due()) == body_of(due()._replace(fence=8, attempts=2))


def test_the_event_id_names_job_and_number_but_no_tenant() -> None:
    assert event_id_of("acme/c1-abc:1") == "c1-abc-1"


def test_what_is_signed_is_accepted_by_the_reference_library() -> None:
    secret, body = new_secret(), body_of(due())
    now_s = int(datetime.now(UTC).timestamp())

    headers = signed_headers("c1-abc-1", now_s, body, [key_of(secret)])

    assert Webhook(secret).verify(body, headers) == json.loads(body)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers | {"webhook-id": "another"})
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(body, headers)


def test_while_a_secret_is_replaced_either_verifies() -> None:
    old, new = new_secret(), new_secret()
    now_s = int(datetime.now(UTC).timestamp())

    headers = signed_headers("c1-abc-1", now_s, b"{}", [key_of(new), key_of(old)])

    assert Webhook(old).verify(b"{}", headers) == Webhook(new).verify(b"{}", headers) == {}


def test_a_signature_is_the_one_of_the_standards_own_example() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}', [key])

    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_is_32_random_bytes_after_its_prefix() -> None:
    first, second = new_secret(), new_secret()

    assert first != second
    assert len(key_of(first)) == 32


def test_what_is_no_secret_is_said_to_be_none() -> None:
    with pytest.raises(SettingsError, match="--rotate"):
        key_of("whsec_not base64!")
