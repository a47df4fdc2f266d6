"""Reading a request's body: only JSON, only so much, counted as it comes in."""

from starlette.requests import ClientDisconnect, Request

from headrace.errors import BodyTooLarge, FieldError, MalformedRequest, UnsupportedMediaType


async def read_json_body(request: Request, *, max_bytes: int) -> bytes:
    """Read the body, undecoded.

    Raises:
        UnsupportedMediaType: if it is not said to be JSON, or is compressed.
        BodyTooLarge: as soon as more than `max_bytes` are announced or have come.
        MalformedRequest: if the caller went away before its end.
    """
    _check_type(request)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > max_bytes:
                raise _too_large(max_bytes)
            parts.append(part)
    except ClientDisconnect as gone:
        raise MalformedRequest("the connection closed before the body was complete") from gone
    return b"".join(parts)


def _check_type(request: Request) -> None:
    media_type = request.headers.get("content-type", "")
    if media_type.partition(";")[0].strip().lower() != "application/json":
        said = f"'{media_type}'" if media_type else "missing"
        raise UnsupportedMediaType(
            f"Content-Type is {said}; send application/json",
            fields=[FieldError("/header/Content-Type", "must be application/json")],
        )
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedMediaType(
            f"Content-Encoding is '{encoding}'; send the body uncompressed",
            fields=[FieldError("/header/Content-Encoding", "must be absent")],
        )


def _too_large(max_bytes: int) -> BodyTooLarge:
    detail = f"at most {max_bytes} bytes are accepted; send less, or a reference to the data"
    return BodyTooLarge(detail, fields=[FieldError("", f"longer than {max_bytes} bytes")])
