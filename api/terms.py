"""Terms: all that a submission says besides its input. Most say the same as one before, and that is read once."""

from functools import lru_cache
from typing import Any

import orjson

from headrace.reading import read_shape
from headrace.submission import SubmitBody

#: Terms that are remembered, and how long they may be for that, as JSON.
_MOST_KNOWN, _MOST_KNOWN_BYTES = 256, 4096


class Terms:
    """Of one submission or of many; equal to themselves alone, so that what follows from them is remembered by them.

    Args:
        body: which says them; its input is another's.
    """

    __slots__ = ("body", "model", "names_times", "needs_asking")

    def __init__(self, body: SubmitBody) -> None:
        self.body = body
        self.model = body.model
        #: True if it matters when the job came.
        self.names_times = body.options.names_times
        #: True if it depends on more than the model's version what the job is, or whether it may be.
        self.needs_asking = body.webhook is not None or body.options.admission == "strict"


def read_submission(document: Any) -> tuple[Terms, Any]:
    """The terms of a submission and its input, which is taken out of the document.

    Raises:
        InvalidInput: naming each field that is missing, unknown or wrong.
    """
    if not isinstance(document, dict) or "input" not in document:
        return _read(document), None
    value = document.pop("input")
    try:
        rest = orjson.dumps(document)
    except orjson.JSONEncodeError:  # nested deeper than terms can be
        return _read({**document, "input": None}), value
    return (_known if len(rest) <= _MOST_KNOWN_BYTES else _terms_of)(rest), value


def _read(document: Any) -> Terms:
    return Terms(read_shape(document, SubmitBody))


def _terms_of(rest: bytes) -> Terms:
    return _read({**orjson.loads(rest), "input": None})


_known = lru_cache(_MOST_KNOWN)(_terms_of)
