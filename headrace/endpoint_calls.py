"""The calls about registered receivers of webhooks and what they are told, for the clients."""

from collections.abc import Mapping
from typing import Any

import orjson

from headrace.http_call import JSON, HttpCall, at, read_document, read_items, with_query

_NAME = "webhook-endpoints"
_PATH = f"/v1/{_NAME}"
#: As long as a test may take where `webhook_timeout_s` is what it usually is.
_TEST_S = 30.0


def listing() -> HttpCall[list[dict[str, Any]]]:
    """All of them."""
    return HttpCall(method="GET", path=_PATH, read=read_items("endpoints"))


def register(fields: Mapping[str, Any]) -> HttpCall[dict[str, Any]]:
    """Register one."""
    return HttpCall(method="POST", path=_PATH, read=read_document, headers=JSON, body=orjson.dumps(fields))


def change(endpoint_id: str, fields: Mapping[str, Any]) -> HttpCall[dict[str, Any]]:
    """Change one."""
    return HttpCall(
        method="PATCH", path=at(_NAME, endpoint_id), read=read_document, headers=JSON, body=orjson.dumps(fields)
    )


def rotate(endpoint_id: str) -> HttpCall[dict[str, Any]]:
    """Replace a secret."""
    return HttpCall(method="POST", path=f"{at(_NAME, endpoint_id)}/rotate", read=read_document)


def test(endpoint_id: str) -> HttpCall[dict[str, Any]]:
    """Have a receiver tested."""
    return HttpCall(method="POST", path=f"{at(_NAME, endpoint_id)}/test", read=read_document, wait_s=_TEST_S)


def listen(*, after: str | None, wait_s: float, limit: int) -> HttpCall[dict[str, Any]]:
    """What is told to receivers."""
    path = with_query("/v1/webhook-events", {"after": after, "wait": wait_s, "limit": limit})
    return HttpCall(method="GET", path=path, read=read_document, wait_s=wait_s)


def forget(endpoint_id: str) -> HttpCall[None]:
    """Forget one."""
    return HttpCall(method="DELETE", path=at(_NAME, endpoint_id), read=lambda _: None)
