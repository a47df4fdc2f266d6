"""Keys for tests, put where the API looks for them; and the routes that they are tried on."""

from collections.abc import Callable, Iterator

from fastapi import FastAPI
from fastapi.routing import APIRoute

from headrace.api_keys import ApiKey, KeyRequest, make_key
from headrace.key_store import KeyStore
from headrace.keys import Keys
from headrace.sync_redis import SyncRedis

NOW_MS = 1_600_000_000_000


class Keyring:
    """Makes keys; `headers` shows one."""

    def __init__(self, connection: SyncRedis, keys: Keys) -> None:
        self._run = connection.run
        self.store = KeyStore(keys)

    def make(self, tenant: str, *scopes: str) -> str:
        """The text of a new key."""
        return self.make_as(tenant, *scopes)[1]

    def make_as(self, tenant: str, *scopes: str, change: Callable[[ApiKey], ApiKey] | None = None) -> tuple[str, str]:
        """Id and text of a new key, changed before it is kept."""
        request = KeyRequest.model_validate({"tenant": tenant, **({"scopes": scopes} if scopes else {})})
        key, text = make_key(request, now_ms=NOW_MS)
        self._run(self.store.put(change(key) if change else key))
        return key.id, text

    def headers(self, tenant: str, *scopes: str) -> dict[str, str]:
        """What a request with a new key says."""
        return bearer(self.make(tenant, *scopes))


def bearer(text: str) -> dict[str, str]:
    """What a request with this key says."""
    return {"Authorization": f"Bearer {text}"}


def routes_of(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of every route."""
    for route in app.routes:
        if isinstance(route, APIRoute):
            yield from ((method, route.path) for method in sorted(route.methods or ()))
