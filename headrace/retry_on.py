"""Retry on: for which causes an attempt may be repeated, where a submission says so. Pure."""

from typing import Annotated, Any

from pydantic import AfterValidator, PlainValidator, WithJsonSchema

from headrace.jobs import REPEATABLE, Cause


def _cause(value: Any) -> Cause:
    if value not in REPEATABLE:
        raise ValueError(
            f"'{str(value)[:80]}' is no cause to repeat an attempt for; possible are {', '.join(REPEATABLE)}"
        )
    return Cause(value)


def _in_order(causes: tuple[Cause, ...]) -> tuple[Cause, ...]:
    return tuple(cause for cause in REPEATABLE if cause in causes)


_CauseField = Annotated[Cause, PlainValidator(_cause), WithJsonSchema({"type": "string", "enum": [*REPEATABLE]})]

#: A field of a request that holds such causes: each once, in their usual order, however they were listed.
RetryOnField = Annotated[tuple[_CauseField, ...], AfterValidator(_in_order)]
