"""The request headers that change what happens: Prefer (RFC 7240) and Idempotency-Key (IETF draft)."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from starlette.requests import Request

from headrace.errors import FieldError, MalformedRequest

MAX_IDEMPOTENCY_KEY = 255

_WAIT = re.compile(r'wait\s*=\s*"?(\d{1,6}(?:\.\d{1,3})?)"?\Z', re.IGNORECASE)
_ATTENDED = "cancel-on-disconnect"
_QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"\Z')
#: What an Idempotency-Key may be: visible, spaces only inside, at least something between its quotes if it has any.
IDEMPOTENCY_KEY_PATTERN = rf'^([!-~]|[!#-~][!-~]|"[!#-~]|[!-~][ -~]{{1,{MAX_IDEMPOTENCY_KEY - 2}}}[!-~])$'
_KEY = re.compile(IDEMPOTENCY_KEY_PATTERN)


#: Header fields by lower-case name.
HeaderFields: TypeAlias = Mapping[str, str]


def header_fields(request: Request) -> HeaderFields:
    """All header fields at once, repeated ones joined (RFC 9110, section 5.3): looking up each costs a scan of all."""
    fields: dict[str, str] = {}
    for raw_name, raw_value in request.scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


class Preference(NamedTuple):
    """How long the caller would like to wait."""

    wait_s: float
    #: What `Preference-Applied` says; empty if nothing was asked for.
    applied: str
    #: Whether the job is to be called off if the caller hangs up before that.
    is_attended: bool = False


def read_preference(headers: HeaderFields, *, max_wait_s: float, is_submission: bool = False) -> Preference:
    """Read `Prefer: wait=10` or `respond-async`, of a submission also `wait=10, cancel-on-disconnect`.

    What is not understood is ignored, as RFC 7240 asks.
    """
    return _preference(headers.get("prefer", ""), max_wait_s, is_submission)


@lru_cache(256)
def _preference(text: str, max_wait_s: float, is_submission: bool) -> Preference:
    # A caller says the same each time.
    asked = [part.strip() for part in text.split(",")]
    if any(part.lower() == "respond-async" for part in asked):
        return Preference(0, "respond-async")
    waits = [float(match[1]) for part in asked if (match := _WAIT.match(part))]
    if not waits:
        return Preference(0, "")
    wait_s = min(waits[0], max_wait_s)
    is_attended = is_submission and any(part.lower() == _ATTENDED for part in asked)
    return Preference(wait_s, f"wait={wait_s:g}" + (f", {_ATTENDED}" if is_attended else ""), is_attended)


def read_idempotency_key(headers: HeaderFields) -> str:
    """Read the key, quoted (a structured field string, RFC 9651) or bare; empty if there is none.

    Raises:
        MalformedRequest: if it is empty, too long or not printable ASCII.
    """
    if "idempotency-key" not in headers:
        return ""
    text = headers["idempotency-key"].strip()
    if not _KEY.fullmatch(text):
        problem = f"must be 1 to {MAX_IDEMPOTENCY_KEY} printable ASCII characters"
        raise MalformedRequest(
            f"the header Idempotency-Key {problem}",
            fields=[FieldError("/header/Idempotency-Key", problem)],
        )
    quoted = _QUOTED.match(text)
    return re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
