"""How both clients put a call on the wire and read what comes back."""

from typing import Any

import httpx2

from headrace.http_call import Answer, HttpCall
from headrace.running import find_running
from headrace.settings import get_settings
from headrace.window import DEFAULT_WINDOW

_CONNECT_S = 5.0
_ANSWER_S = 15.0
LIMITS = httpx2.Limits(max_connections=2 * DEFAULT_WINDOW, max_keepalive_connections=DEFAULT_WINDOW)


def default_url() -> str:
    """What the settings say; if they say nothing, where `headrace up` runs on this folder; else the default."""
    settings = get_settings()
    if "url" not in settings.model_fields_set and (running := find_running(settings.data_dir)):
        return running.url
    return settings.url


def credentials(api_key: str | None) -> dict[str, str]:
    """The header that shows a key: this one, else that of the settings; none if there is none."""
    key = get_settings().api_key if api_key is None else api_key
    return {"Authorization": f"Bearer {key}"} if key else {}


def request_of(call: HttpCall[Any]) -> dict[str, Any]:
    """The arguments of httpx2's `request` for a call."""
    # Waiting for a free connection is no failure: `map` may have more under way than there are connections.
    timeout = httpx2.Timeout(call.wait_s + _ANSWER_S, connect=_CONNECT_S, pool=None)
    return {
        "method": call.method,
        "url": call.path,
        "headers": call.headers,
        "content": call.body,
        "timeout": timeout,
    }


def answer_of(response: httpx2.Response) -> Answer:
    """A response as the calls read it."""
    return Answer(response.status_code, response.headers, response.content)
