"""Answers that need not be sent again, or only in part: ETag and If-None-Match, Range (RFC 9110). Pure.

A tag is a digest of the answer's bytes, so it is strong: the same tag means the same bytes. Only that of a record is
weak (`record_tags`).
"""

import hashlib
import re

from starlette.responses import Response

from api.headers import HeaderFields
from headrace.errors import RangeNotSatisfiable

#: A tag as others name it; whether it is weak makes no difference (section 13.1.2).
TAG = re.compile(r'(?:W/)?("[^"]*")')
#: No result has so many bytes that their number has more digits.
_ONE_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z")


def tag_of(body: bytes) -> str:
    """The ETag of these bytes."""
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def with_tag(response: Response, fields: HeaderFields, tag: str = "") -> Response:
    """The same answer with its ETag, the digest of it unless it has another, or 304 if the caller has it already."""
    tag = tag or tag_of(bytes(response.body))
    response.headers["ETag"] = tag
    asked = fields.get("if-none-match")
    if response.status_code != 200 or asked is None or not _is_among(tag, asked):
        return response
    kept = {name: value for name, value in response.headers.items() if name not in ("content-length", "content-type")}
    return Response(status_code=304, headers=kept)


def _is_among(tag: str, asked: str) -> bool:
    return asked.strip() == "*" or tag.removeprefix("W/") in TAG.findall(asked)


def partial(response: Response, fields: HeaderFields) -> Response:
    """The part of the answer that was asked for; all of it if several were, or the caller's part is of another answer.

    Raises:
        RangeNotSatisfiable: if it has no such part.
    """
    response.headers["Accept-Ranges"] = "bytes"
    asked = _ONE_RANGE.match(fields.get("range", "").replace(" ", ""))
    is_same = fields.get("if-range", response.headers.get("etag")) == response.headers.get("etag")
    if response.status_code != 200 or not asked or asked.groups() == ("", "") or not is_same:
        return response
    body = bytes(response.body)
    first, last = _bounds(asked[1], asked[2], len(body))
    if first > last:
        raise RangeNotSatisfiable(f"the result has {len(body)} bytes; {fields['range'][:80]} is none of them")
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
    return Response(body[first : last + 1], 206, headers)


def _bounds(first: str, last: str, length: int) -> tuple[int, int]:
    if not first:  # the last so many
        return max(0, length - int(last)), length - 1 if int(last) else -1
    return int(first), min(int(last) if last else length - 1, length - 1)
