"""The error of a failed job: what is kept of it as its output, and what programs know it by."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from headrace.errors import FieldError
from headrace.jobs import Cause

#: What programs know the error of a failed job by, in the words that problems have for the same.
ERROR_CODES: Mapping[str, str] = {
    Cause.INPUT: "input_error",
    Cause.MODEL: "model_error",
    Cause.OOM: "out_of_memory",
    Cause.TIMEOUT: "forward_timeout",
    Cause.RUN_TIMEOUT: "run_timeout",
    Cause.WORKER_LOST: "worker_lost",
    Cause.DEADLINE: "deadline_missed",
    Cause.INTERNAL: "internal_error",
}


def error_document(cause: Cause, detail: str, *, retryable: bool = False, fields: Sequence[FieldError] = ()) -> bytes:
    """The JSON kept as the output of a failed job, shown to its owner as `error`; `fields` of its input are wrong."""
    document: dict[str, Any] = {"cause": cause, "detail": detail, "retryable": retryable}
    if fields:
        document["errors"] = [{"pointer": it.pointer, "code": it.code, "detail": it.detail} for it in fields]
    return orjson.dumps(document)
