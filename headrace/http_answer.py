"""Reading what the API answered to a call: what was asked for, or the error that a problem document names. No I/O."""

from collections.abc import Mapping
from typing import Any, TypeVar

import orjson

from headrace.errors import FieldError, HeadraceError, InternalError, RequestError, Unavailable
from headrace.http_call import Answer, HttpCall

T = TypeVar("T")


def read_answer(call: HttpCall[T], answer: Answer) -> T:
    """What the call asked for.

    Raises:
        HeadraceError: of the class that the API's problem document names.
    """
    if answer.status >= 400:
        raise problem(answer)
    try:
        return call.read(answer)
    except (ValueError, KeyError, TypeError) as error:
        raise InternalError(f"{call.method} {call.path} was not answered by a Headrace API: {error}") from error


def problem(answer: Answer) -> HeadraceError:
    """The error that an answer stands for, also if it came from something between us and the API."""
    document = _problem_document(answer.body)
    kind = _KINDS.get(document.get("code", "")) or _kind_by_status(answer.status)
    detail = document.get("detail") or f"the server answered {answer.status}"
    fields = [FieldError(item["pointer"], item["detail"], item["code"]) for item in document.get("errors", ())]
    return kind(detail, fields=fields, retry_after_s=_retry_after_s(answer, document))


def _problem_document(body: bytes) -> Mapping[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _retry_after_s(answer: Answer, document: Mapping[str, Any]) -> float | None:
    if "retry_after_ms" in document:
        return float(document["retry_after_ms"]) / 1000
    header = answer.headers.get("retry-after", "")
    return float(header) if header.isdecimal() else None


def _kind_by_status(status: int) -> type[HeadraceError]:
    if status in {429, 502, 503, 504}:
        return Unavailable
    return RequestError if status < 500 else InternalError


def _tree(kind: type[HeadraceError]) -> dict[str, type[HeadraceError]]:
    kinds = {kind.code: kind}
    for child in kind.__subclasses__():
        kinds |= _tree(child)
    return kinds


_KINDS = _tree(HeadraceError)
