"""The calls about registered receivers of webhooks and what they are told, for the clients."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from headrace.http_call import Answer, HttpCall

_PATH = "/v1/webhook-endpoints"
#: As long as a test may take where `webhook_timeout_s` is what it usually is.
_TEST_S = 30.0
_JSON = {"Content-Type": "application/json"}


def listing() -> HttpCall[list[dict[str, Any]]]:
    """All of them."""

    def read(answer: Answer) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = orjson.loads(answer.body)["endpoints"]
        return items

    return HttpCall(method="GET", path=_PATH, read=read, headers={})


def register(fields: Mapping[str, Any]) -> HttpCall[dict[str, Any]]:
    """Register one."""
    return HttpCall(method="POST", path=_PATH, read=_document, headers=_JSON, body=orjson.dumps(fields))


def change(endpoint_id: str, fields: Mapping[str, Any]) -> HttpCall[dict[str, Any]]:
    """Change one."""
    return HttpCall(method="PATCH", path=_at(endpoint_id), read=_document, headers=_JSON, body=orjson.dumps(fields))


def rotate(endpoint_id: str) -> HttpCall[dict[str, Any]]:
    """Replace a secret."""
    return HttpCall(method="POST", path=f"{_at(endpoint_id)}/rotate", read=_document, headers={})


def test(endpoint_id: str) -> HttpCall[dict[str, Any]]:
    """Have a receiver tested."""
    return HttpCall(method="POST", path=f"{_at(endpoint_id)}/test", read=_document, headers={}, wait_s=_TEST_S)


def listen(*, after: str | None, wait_s: float, limit: int) -> HttpCall[dict[str, Any]]:
    """What is told to receivers."""
    chosen = {"after": after, "wait": wait_s, "limit": limit}
    query = urlencode({name: value for name, value in chosen.items() if value is not None})
    return HttpCall(method="GET", path=f"/v1/webhook-events?{query}", read=_document, headers={}, wait_s=wait_s)


def forget(endpoint_id: str) -> HttpCall[None]:
    """Forget one."""
    return HttpCall(method="DELETE", path=_at(endpoint_id), read=lambda _: None, headers={})


def _at(endpoint_id: str) -> str:
    return f"{_PATH}/{quote(endpoint_id, safe='')}"


def _document(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(answer.body)
    return found
