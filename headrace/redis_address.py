"""Where a Redis server is and what to say to it first, read from a URL."""

import ssl
from dataclasses import dataclass, field
from typing import Any, Self

from redis.connection import SSLConnection, parse_url

from headrace.errors import SettingsError
from headrace.redis_op import Argument

_PORT = 6379


@dataclass(frozen=True, kw_only=True)
class RedisAddress:
    """A server's address: `path` for a Unix socket, else `host` and `port`, with TLS if `tls` is set."""

    host: str = "127.0.0.1"
    port: int = _PORT
    path: str = ""
    tls: ssl.SSLContext | None = None
    #: Commands that open a connection, in order; the last answers only when the server is ready to work.
    greeting: tuple[tuple[Argument, ...], ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `redis://user:password@host:port/db`, `rediss://…` (TLS) or `unix:///path?db=0`.

        Raises:
            SettingsError: if it is no such URL.
        """
        try:
            options: dict[str, Any] = parse_url(url)  # type: ignore[no-untyped-call]  # untyped in redis-py
        except ValueError as error:
            raise SettingsError(f"the Redis URL cannot be used: {error}") from error
        encrypted = options.get("connection_class") is SSLConnection
        return cls(
            host=options.get("host") or "127.0.0.1",
            port=options.get("port") or _PORT,
            path=options.get("path") or "",
            tls=_tls_context(options) if encrypted else None,
            greeting=_greeting(options),
        )

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"


def _greeting(options: dict[str, Any]) -> tuple[tuple[Argument, ...], ...]:
    commands: list[tuple[Argument, ...]] = []
    if options.get("password"):
        user = (options["username"],) if options.get("username") else ()
        commands.append(("AUTH", *user, options["password"]))
    if options.get("db"):
        commands.append(("SELECT", options["db"]))
    return (*commands, ("PING",))


def _tls_context(options: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    if options.get("ssl_certfile"):
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    if options.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
