"""Rest: JSON over HTTP to whoever runs the workers, with every failure told in one way."""

from collections.abc import Mapping
from typing import Any

import httpx2

from scheduler.backends.port import BackendError

_TIMEOUT_S = 5.0


class Refused(BackendError):
    """Raised for an answer that is no success."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Rest:
    """Calls one server.

    Args:
        url: what each path is put behind.
        socket: path of the Unix socket that leads there; by default the URL does.
        ca_file: certificates of who may sign the server's; by default the system's.
    """

    def __init__(self, url: str, *, socket: str | None = None, ca_file: str | None = None) -> None:
        transport = httpx2.HTTPTransport(uds=socket, verify=ca_file or True)
        # Proxies are for the way out of a data center, not for the way to its own servers.
        self._client = httpx2.Client(base_url=url, transport=transport, timeout=_TIMEOUT_S, trust_env=False)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        document: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Call; answers the document of a success, None if it has none.

        Raises:
            Refused: if the server answers something else than a success.
            BackendError: if it does not answer.
        """
        try:
            answer = self._client.request(method, path, params=query, json=document, headers=headers)
        except httpx2.HTTPError as error:
            raise BackendError(f"{method} {path}: {error!r}") from error
        if not answer.is_success:
            raise Refused(answer.status_code, f"{method} {path}: {answer.status_code} {answer.text[:200].strip()}")
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return answer.json() if is_json and answer.content else answer.content

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()
