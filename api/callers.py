"""Who asks: the tenant that a request acts for, and what its key allows."""

from typing import NamedTuple

from fastapi import Request

#: Whose jobs all jobs are as long as callers have no keys.
DEFAULT_TENANT = "default"


class Caller(NamedTuple):
    """The sender of one request."""

    tenant: str = DEFAULT_TENANT
    #: Its key; empty where none is needed.
    key_id: str = ""


def caller_of(request: Request) -> Caller:
    """The sender of this request."""
    caller = request.scope.get("headrace.caller")
    return caller if isinstance(caller, Caller) else Caller()
