"""Events are believed if one of the secrets signed them and they are not old; the reference library agrees."""

from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from headrace.webhook_signature import TOLERANCE_S, problem_of, signature
from headrace.webhooks import key_of, new_secret

SECRET, BODY = new_secret(), b'{"type":"job.succeeded"}'
NOW_S = 1_900_000_000


def signed(secret: str = SECRET, *, at_s: int = NOW_S, body: bytes = BODY) -> dict[str, str]:
    return {
        "webhook-id": "c1-a-1",
        "webhook-timestamp": str(at_s),
        "webhook-signature": signature(key_of(secret), "c1-a-1", at_s, body),
    }


def problem(headers: dict[str, str], *, secrets: tuple[str, ...] = (SECRET,), body: bytes = BODY) -> str:
    return problem_of([key_of(secret) for secret in secrets], headers, body, now_s=NOW_S)


def test_what_a_secret_signed_is_believed() -> None:
    assert "" == problem(signed())


def test_what_the_reference_library_signed_is_believed() -> None:
    moment = datetime.fromtimestamp(NOW_S, UTC)
    theirs = Webhook(SECRET).sign("c1-a-1", moment, BODY.decode())

    assert "" == problem(signed() | {"webhook-signature": f"v1a,other {theirs}"})


def test_either_of_two_secrets_is_enough() -> None:
    assert "" == problem(signed(), secrets=(new_secret(), SECRET))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"webhook-id": "c1-a-2"}, "no secret"),
        ({"webhook-signature": "v1,AAAA"}, "no secret"),
        ({"webhook-signature": "v1,\u00fc"}, "no secret"),
        ({"webhook-signature": ""}, "no secret"),
        ({"webhook-timestamp": "soon"}, "no number"),
        ({"webhook-timestamp": "\u0663"}, "no number"),
    ],
)
def test_what_was_changed_is_not(changed: dict[str, str], words: str) -> None:
    assert words in problem(signed() | changed)


def test_another_body_or_secret_is_not() -> None:
    assert "no secret" in problem(signed(), body=BODY + b" ")
    assert "no secret" in problem(signed(new_secret()))


@pytest.mark.parametrize("off_s", [-TOLERANCE_S - 1, TOLERANCE_S + 1])
def test_what_is_old_or_from_the_future_is_not(off_s: int) -> None:
    assert "old" in problem(signed(at_s=NOW_S + off_s))


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_what_lacks_a_header_is_not(name: str) -> None:
    headers = signed()
    del headers[name]

    assert name in problem(headers)
