"""How a caller tells that a record is another than the one it has: the record's ETag (RFC 9110). Pure.

It has two parts: what the job is, and where it stands. The times of its estimate are in neither, since they move with
the clock; so a tag is weak, and means the same record rather than the same bytes.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import orjson

from api.caching import TAG

_PARTS = re.compile(r'"([0-9a-f]+)-([0-9a-f]+)"')


class RecordTag(NamedTuple):
    """The tag of a record."""

    #: Of all but its place.
    job: str
    #: Of its place in the queue, and the sentence about that, which may count seconds.
    place: str

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """The tag of a record as callers see it."""
        queue = document["queue"]
        eta = queue and queue["eta"]
        place = [queue["position"], queue["batches_ahead"], eta and (eta["basis"], eta["confidence"])] if queue else []
        lasting = {**document, "queue": None, "reason_detail": None}
        return cls(_digest(lasting, 12), _digest([*place, document["reason_detail"]], 4))

    def __str__(self) -> str:
        return f'W/"{self.job}-{self.place}"'


class KnownRecord:
    """The record that a caller has, as its `If-None-Match` names it.

    Args:
        asked: what stands in that header field.
    """

    def __init__(self, asked: str) -> None:
        parts = [_PARTS.fullmatch(tag) for tag in TAG.findall(asked)]
        self._tags = {RecordTag(match[1], match[2]) for match in parts if match}
        self._jobs = {tag.job for tag in self._tags}
        self._is_any = asked.strip() == "*"

    def is_same(self, tag: RecordTag) -> bool:
        """Tell whether nothing has changed."""
        return self._is_any or tag in self._tags

    def is_same_job(self, tag: RecordTag) -> bool:
        """Tell whether nothing has changed but its place."""
        return self._is_any or tag.job in self._jobs


def _digest(content: Any, size: int) -> str:
    return hashlib.blake2b(orjson.dumps(content), digest_size=size).hexdigest()
