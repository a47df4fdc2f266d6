"""Who asks: the tenant that a request acts for, and what its key allows."""

from typing import NamedTuple

from fastapi import Request

from headrace.api_keys import Scope
from headrace.errors import Forbidden
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

    def looking_after(self, tenant: str | None) -> str:
        """The tenant that it names, or its own if it names none.

        Raises:
            Forbidden: if that is another's, and its key has not the scope `admin`.
        """
        if tenant not in (None, self.tenant) and not self.may(Scope.ADMIN):
            raise Forbidden(f"the API key {self.key_id} is for the tenant {self.tenant}; others take {Scope.ADMIN}")
        return tenant or self.tenant


def caller_of(request: Request) -> Caller:
    """The sender of this request."""
    caller = request.scope.get("headrace.caller")
    return caller if isinstance(caller, Caller) else Caller()
