"""One HTTP request to the API as a value: what to send, and how to read the answer. No I/O.

`Client` and `AsyncClient` carry out the same calls (`job_calls`, `bulk_call`, `change_calls`, `operator_calls`,
`endpoint_calls`), so both mean the same by them; `http_answer` reads what comes back.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import orjson
from pydantic import BaseModel

from headrace.errors import RequestError
from headrace.job_record import JobRecord

T = TypeVar("T")

#: Of a call with a body.
JSON: Mapping[str, str] = MappingProxyType({"Content-Type": "application/json"})


@dataclass(frozen=True)
class Answer:
    """An HTTP response as the calls read it; the names of headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class HttpCall(Generic[T]):
    """A request that may be sent again when its answer was lost: the API knows it again."""

    method: str
    path: str
    read: Callable[[Answer], T]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    #: How long the API may hold the answer back.
    wait_s: float = 0.0


def at(collection: str, name: str) -> str:
    """The path of one of a collection: `/v1/jobs` and an id, whatever stands in it."""
    return f"/v1/{collection}/{quote(name, safe='')}"


def with_query(path: str, choices: Mapping[str, object]) -> str:
    """A path that asks for those of the choices that are not None."""
    query = urlencode({name: value for name, value in choices.items() if value is not None})
    return f"{path}?{query}"


def read_record(answer: Answer) -> JobRecord:
    """The record of a job."""
    return JobRecord.from_document(orjson.loads(answer.body), tag=answer.headers.get("etag", ""))


def read_document(answer: Answer) -> dict[str, Any]:
    """A document as it is."""
    document: dict[str, Any] = orjson.loads(answer.body)
    return document


def read_items(name: str) -> Callable[[Answer], list[Any]]:
    """How a list is read that stands in a document under `name`."""

    def read(answer: Answer) -> list[Any]:
        items: list[Any] = orjson.loads(answer.body)[name]
        return items

    return read


def to_json(value: Any) -> bytes:
    """A body; numpy's arrays and pydantic's models may be in it.

    Raises:
        RequestError: if anything else is that JSON has no word for.
    """
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        raise RequestError(f"the input cannot be written as JSON: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} is not JSON")
