"""Messenger: one HTTP/1.1 POST per call, and what came of it in one word.

No redirects, no cookies, no proxies, no decompression, and not a byte of the answer's body is kept: the pool below
httpx2 does exactly as it is told.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple

import httpcore2
import httpx2

from headrace.addresses import Egress
from headrace.failpoints import failpoint
from headrace.webhook_url import check_webhook_url
from workers.webhooks.guard import AddressRefused, GuardedNetwork, NameNotResolved, Resolve, resolve
from workers.webhooks.schedule import Answer

log = logging.getLogger("headrace.courier")

#: Read, so that the connection can be used again; who says more is hung up on.
_MOST_ANSWER_BYTES = 16_384
_IDLE_S = 20.0
#: URLs whose check is remembered: what a URL may say does not change while the settings do not.
_MOST_TARGETS = 1_000
#: Whatever a receiver, its name or the way to it may do to an attempt; `TimeoutError` is an `OSError`.
_FAILURES = (ValueError, OSError, httpcore2.NetworkError, httpcore2.TimeoutException, httpcore2.ProtocolError)


class _Target(NamedTuple):
    """A URL that was checked, as the pool wants it."""

    where: httpcore2.URL
    netloc: bytes
    pool: httpcore2.AsyncConnectionPool


class Messenger:
    """Posts to receivers.

    Args:
        egress: where it may connect to; plain http only to the networks in it.
        timeout_s: for the whole of an attempt, resolving and reading included.
        connections: at most at once.
        resolver: finds addresses of names.
        tls: how receivers' certificates are checked, if not by the system's authorities.
    """

    def __init__(
        self,
        *,
        egress: Egress,
        timeout_s: float,
        connections: int,
        resolver: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._egress = egress
        self._timeout_s = timeout_s
        tls = tls or httpx2.create_ssl_context(trust_env=False)

        def pool(guard: Egress) -> httpcore2.AsyncConnectionPool:
            return httpcore2.AsyncConnectionPool(
                ssl_context=tls,
                max_connections=connections,
                keepalive_expiry=_IDLE_S,
                network_backend=GuardedNetwork(egress=guard, resolver=resolver),
            )

        self._target = lru_cache(maxsize=_MOST_TARGETS)(self._checked)
        self._pools = {"https": pool(egress), "http": pool(replace(egress, is_public_allowed=False))}

    async def close(self) -> None:
        """Give the connections back."""
        for pool in self._pools.values():
            await pool.aclose()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Make one attempt."""
        try:
            # What was allowed when the job was handed in may not be now.
            target = self._target(url)
            async with asyncio.timeout(self._timeout_s):
                return await self._post(target, headers, body)
        except _FAILURES as error:
            return _failed(error)

    def _checked(self, text: str) -> _Target:
        url = httpx2.URL(check_webhook_url(text, self._egress))
        where = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        return _Target(where, url.netloc, self._pools[url.scheme])

    async def _post(self, target: _Target, headers: Mapping[str, str], body: bytes) -> Answer:
        length = str(len(body)).encode()
        given = ((name.encode(), value.encode()) for name, value in headers.items())
        fields = [(b"Host", target.netloc), (b"content-length", length), *given]
        limits = {"connect": self._timeout_s, "read": self._timeout_s, "write": self._timeout_s}
        failpoint("courier.posting")
        async with target.pool.stream(
            "POST", target.where, headers=fields, content=_sent(body), extensions={"timeout": limits}
        ) as response:
            received = 0
            async for chunk in response.aiter_stream():
                received += len(chunk)
                if received > _MOST_ANSWER_BYTES:
                    break
            return _answered(response.status, dict(response.headers))


async def _sent(body: bytes) -> AsyncIterator[bytes]:
    yield body
    failpoint("courier.sent")


def _answered(status: int, headers: Mapping[bytes, bytes]) -> Answer:
    outcome = "redirect_not_followed" if 300 <= status < 400 else f"http_{status}"
    fields = {name.lower(): value for name, value in headers.items()}
    return Answer(outcome, status, retry_after_s(fields.get(b"retry-after", b"").decode("latin-1"), datetime.now(UTC)))


def retry_after_s(text: str, now: datetime) -> float:
    """Seconds that a Retry-After header asks for (RFC 9110, section 10.2.3); 0 if it makes no sense."""
    if text.isascii() and text.isdecimal():
        return float(text[:9])
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - now).total_seconds())


def _failed(error: Exception) -> Answer:
    log.debug("an attempt failed: %r", error)
    match error:
        case AddressRefused():
            return Answer("address_refused")
        case NameNotResolved():
            return Answer("name_not_resolved")
        case TimeoutError() | httpcore2.TimeoutException():
            return Answer("timeout")
        case httpcore2.ConnectError() | ssl.SSLError():
            return Answer("tls_failed" if _is_tls(error) else "unreachable")
        case ValueError():
            return Answer("url_refused")
        case httpcore2.ProtocolError():
            return Answer("protocol_error")
        case _:
            return Answer("connection_broken")


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
