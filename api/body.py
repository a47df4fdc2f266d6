"""Reading a request's body: only JSON, only so much, counted as it comes in."""

from collections.abc import Sequence
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request

from api.headers import HeaderFields, header_fields
from api.services import services_of
from headrace.errors import BodyTooLarge, FieldError, MalformedRequest, UnsupportedMediaType
from headrace.reading import parse_body

Shape = TypeVar("Shape", bound=BaseModel)

_JSON = "application/json"


async def body_as(request: Request, shape: type[Shape]) -> Shape:
    """The body of a request, which is to be JSON of this shape; raises as `read_body` and `parse_body`."""
    most_bytes = services_of(request).settings.max_body_bytes
    raw = await read_json_body(request, header_fields(request), max_bytes=most_bytes)
    return parse_body(raw, shape)


async def read_json_body(request: Request, headers: HeaderFields, *, max_bytes: int) -> bytes:
    """Read a body of JSON, undecoded; raises as `read_body`."""
    return await read_body(request, headers, media_types=(_JSON,), max_bytes=max_bytes)


async def read_body(request: Request, headers: HeaderFields, *, media_types: Sequence[str], max_bytes: int) -> bytes:
    """Read the body, undecoded.

    Raises:
        UnsupportedMediaType: if it is not said to be of one of these types, or is compressed.
        BodyTooLarge: as soon as more than `max_bytes` are announced or have come.
        MalformedRequest: if the caller went away before its end.
    """
    _check_type(headers, media_types)
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    parts, size, is_complete = [], 0, False
    while not is_complete:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise MalformedRequest("the connection closed before the body was complete")
        parts.append(message.get("body", b""))
        is_complete = not message.get("more_body", False)
        size += len(parts[-1])
        if size > max_bytes:
            raise _too_large(max_bytes)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _check_type(headers: HeaderFields, media_types: Sequence[str]) -> None:
    media_type = headers.get("content-type", "")
    if media_type not in media_types and media_type.partition(";")[0].strip().lower() not in media_types:
        said, wanted = f"'{media_type}'" if media_type else "missing", " or ".join(media_types)
        raise UnsupportedMediaType(
            f"Content-Type is {said}; send {wanted}",
            fields=[FieldError("/header/Content-Type", f"must be {wanted}")],
        )
    encoding = headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedMediaType(
            f"Content-Encoding is '{encoding}'; send the body uncompressed",
            fields=[FieldError("/header/Content-Encoding", "must be absent")],
        )


def _too_large(max_bytes: int) -> BodyTooLarge:
    detail = f"at most {max_bytes} bytes are accepted; send less, or a reference to the data"
    return BodyTooLarge(detail, fields=[FieldError("", f"longer than {max_bytes} bytes")])
