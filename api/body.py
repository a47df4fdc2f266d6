"""Reading a request's body: only JSON, only so much, counted as it comes in."""

from starlette.requests import Request

from api.headers import HeaderFields
from headrace.errors import BodyTooLarge, FieldError, MalformedRequest, UnsupportedMediaType


async def read_json_body(request: Request, headers: HeaderFields, *, max_bytes: int) -> bytes:
    """Read the body, undecoded.

    Raises:
        UnsupportedMediaType: if it is not said to be JSON, or is compressed.
        BodyTooLarge: as soon as more than `max_bytes` are announced or have come.
        MalformedRequest: if the caller went away before its end.
    """
    _check_type(headers)
    announced = headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    body, is_complete = b"", False
    while not is_complete:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise MalformedRequest("the connection closed before the body was complete")
        body += message.get("body", b"")
        is_complete = not message.get("more_body", False)
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return body


def _check_type(headers: HeaderFields) -> None:
    media_type = headers.get("content-type", "")
    if media_type != "application/json" and media_type.partition(";")[0].strip().lower() != "application/json":
        said = f"'{media_type}'" if media_type else "missing"
        raise UnsupportedMediaType(
            f"Content-Type is {said}; send application/json",
            fields=[FieldError("/header/Content-Type", "must be application/json")],
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
