"""A webhook's URL: checked when it is handed in, and again before each use. Nothing is resolved here."""

import re
import socket

import httpx2

from headrace.addresses import Egress

MAX_URL_LENGTH = 2_048
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?")
#: No name ends so; what does is an address, or means to look like one (URL Standard, "ends in a number").
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_HTTPS_PORT = 443


def check_webhook_url(text: str, egress: Egress) -> str:
    """The URL in the spelling in which it is used: ASCII, without a fragment.

    Plain http is for the networks that the operator allows; everybody else's events travel encrypted.

    Raises:
        ValueError: saying what is wrong with it.
    """
    if len(text) > MAX_URL_LENGTH:
        raise ValueError(f"is longer than {MAX_URL_LENGTH} characters")
    try:
        url = httpx2.URL(text)
    except httpx2.InvalidURL as error:
        raise ValueError(f"is not a URL: {error}") from error
    if url.scheme not in ("https", "http") or not url.raw_host:
        raise ValueError("must begin with https:// and a host")
    if url.scheme == "http" and not egress.networks:
        raise ValueError("must begin with https://; plain http is for networks that webhook_allow_networks names")
    if url.userinfo:
        raise ValueError("must hold no user name or password; receivers know us by the signature")
    _check_port(url, egress)
    _check_host(url.raw_host.decode(), egress)
    return str(url.copy_with(fragment=None))


def _check_port(url: httpx2.URL, egress: Egress) -> None:
    port = (_HTTPS_PORT if url.scheme == "https" else None) if url.port is None else url.port
    if port is None:
        return
    if not 0 < port < 1 << 16 or (url.scheme == "https" and not egress.permits_port(port)):
        raise ValueError(f"has the port {port}; allowed by webhook_ports are {' and '.join(egress.ports)}")


def _check_host(host: str, egress: Egress) -> None:
    bare = host.removesuffix(".")
    literal = _address_of(bare)
    if literal is None:
        if not _NAME.fullmatch(host) or _NUMBER.fullmatch(bare.rpartition(".")[2]):
            raise ValueError("has a host that is neither a name nor an address")
    elif not egress.permits(literal):
        raise ValueError(
            f"leads to {literal}, which is not a public address; an operator may allow its network by the setting"
            " webhook_allow_networks"
        )


def _address_of(host: str) -> str | None:
    """The address that a host spells, in whatever way resolvers understand; None if it is a name."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None
    return str(found[0][4][0])
