"""Which scope a request needs, by its path and method: before any route is looked for, so that none is forgotten."""

from functools import lru_cache

from headrace.api_keys import Scope
from headrace.errors import Forbidden, HeadraceError, Unauthenticated

#: Whoever asks is answered: is it alive, what does it offer, what does a problem mean; and numbers for Prometheus,
#: which the operator's proxy keeps from the outside (docs/deploying.md).
_OPEN = ("/livez", "/readyz", "/openapi.json", "/docs", "/redoc", "/problems/", "/metrics", "/v1/metrics/")
#: What belongs to no tenant.
_ADMIN = ("/v1/keys", "/v1/tenants")
_SYSTEM = ("/v1/queues", "/v1/workers", "/v1/scaling")
_MODELS = ("/v1/models",)

_CHALLENGE = 'Bearer realm="headrace"'
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


@lru_cache(256)  # most requests go to few paths
def scope_needed(method: str, path: str) -> Scope | None:
    """The scope that a key must have; None where no key is needed."""
    if path == "/" or path.startswith(_OPEN):
        return None
    if path.startswith(_ADMIN):
        return Scope.ADMIN
    is_reading = method in _READING
    if path.startswith(_SYSTEM):
        return Scope.OBSERVE if is_reading else Scope.ADMIN
    if is_reading:
        return Scope.READ
    return Scope.MODELS_WRITE if path.startswith(_MODELS) else Scope.SUBMIT


def challenge(error: HeadraceError, needed: Scope) -> dict[str, str]:
    """The headers that RFC 6750, section 3, has a refusal carry."""
    if isinstance(error, Forbidden):
        return {"WWW-Authenticate": f'{_CHALLENGE}, error="insufficient_scope", scope="{needed}"'}
    return {"WWW-Authenticate": _CHALLENGE} if isinstance(error, Unauthenticated) else {}
