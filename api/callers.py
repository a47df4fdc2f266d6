"""Who asks: the tenant that a request acts for, and what its key allows."""

from typing import NamedTuple

from fastapi import Request

from headrace.api_keys import Scope
from headrace.ids import DEFAULT_TENANT


class Caller(NamedTuple):
    """The sender of one request. Where no keys are demanded, whoever comes is the operator."""

    tenant: str = DEFAULT_TENANT
    #: Its key; empty where none is needed.
    key_id: str = ""
    scopes: tuple[Scope, ...] = (Scope.ADMIN,)

    def may(self, scope: Scope) -> bool:
        """Tell whether its key allows this."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


def caller_of(request: Request) -> Caller:
    """The sender of this request."""
    caller = request.scope.get("headrace.caller")
    return caller if isinstance(caller, Caller) else Caller()
