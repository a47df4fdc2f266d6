"""MetadataService: the small HTTP server that a cloud runs beside each machine, at an address only the machine sees."""

import http.client
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

#: It answers within milliseconds, or something is wrong with it.
_TIMEOUT_S = 2.0
_MOST_BYTES = 65_536


class Answer(NamedTuple):
    """What it said."""

    status: int
    body: str
    #: Names in lower case.
    headers: Mapping[str, str]


class MetadataService:
    """Asks without proxies, and follows no redirect: nobody else may answer for it.

    Args:
        url: where it is, `http://host[:port]`.
        timeout_s: longest wait for any part of an answer.
    """

    def __init__(self, url: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._address = urlsplit(url).netloc
        self._timeout_s = timeout_s

    def ask(self, path: str, headers: Mapping[str, str], *, method: str = "GET") -> Answer:
        """Ask once.

        Raises:
            OSError: if it does not answer, or not in HTTP.
        """
        connection = http.client.HTTPConnection(self._address, timeout=self._timeout_s)
        try:
            connection.request(method, path, headers=dict(headers))
            reply = connection.getresponse()
            said = {name.lower(): value for name, value in reply.getheaders()}
            return Answer(reply.status, reply.read(_MOST_BYTES).decode(errors="replace"), said)
        except http.client.HTTPException as error:
            raise OSError(f"no HTTP: {error!r}") from error
        finally:
            connection.close()
