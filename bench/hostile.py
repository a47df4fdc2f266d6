"""Twelve ways in which receivers of webhooks misbehave, on real sockets, and what is to come of each."""

import asyncio
import socket
import ssl
import struct
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench.listeners import Behaviour, saying
from headrace.webhooks import DeliveryState

PENDING, DELIVERED, FAILED = DeliveryState.PENDING, DeliveryState.DELIVERED, DeliveryState.FAILED
RETRY_AFTER_S = 700
#: Longer than any limit of a test.
_LONG_S = 60.0


class Hostile(NamedTuple):
    """A receiver, and what its deliveries come to."""

    behaviour: Behaviour
    outcome: str
    state: DeliveryState = PENDING
    speaks_tls: bool = False


async def _hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(_LONG_S)


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte at a time: each read is quick, and there is no end."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def _pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Much more than anybody wants to read."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(4_096):
        writer.write(b"x" * 65_536)
        await writer.drain()


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """RST in place of an answer."""
    await reader.readuntil(b"\r\n\r\n")
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _bomb() -> bytes:
    """16 MiB of zeros that take some kilobytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = packer.compress(bytes(1 << 24)) + packer.flush()
    return b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b" % (len(packed), packed)


def _status(line: str, *fields: str) -> Behaviour:
    head = "\r\n".join((f"HTTP/1.1 {line}", *fields, "content-length: 0", "connection: close"))
    return saying(f"{head}\r\n\r\n".encode())


def hostile(trap_port: int) -> dict[str, Hostile]:
    """All of them by name; `trap_port` of 127.0.0.1 is where they want us to go."""
    answers = _status("204 No Content")
    return {
        "500": Hostile(_status("500 Oh"), "http_500"),
        "hang": Hostile(_hang, "timeout"),
        "slow drip": Hostile(_drip, "timeout"),
        "huge body": Hostile(_pour, "http_200", DELIVERED),
        "gzip bomb": Hostile(saying(_bomb()), "http_200", DELIVERED),
        "reset": Hostile(_reset, "connection_broken"),
        "redirect": Hostile(_status("302 Found", "location: http://169.254.169.254/latest/"), "redirect_not_followed"),
        "redirect to the trap": Hostile(
            _status("307 Temporary", f"location: http://127.0.0.1:{trap_port}/"), "redirect_not_followed"
        ),
        "DNS flip": Hostile(answers, "address_refused"),
        "wrong TLS": Hostile(answers, "tls_failed", speaks_tls=True),
        "close early": Hostile(saying(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"), "protocol_error"),
        "410": Hostile(_status("410 Gone"), "http_410", FAILED),
        "429": Hostile(_status("429 Too Many", f"retry-after: {RETRY_AFTER_S}"), "http_429"),
    }


def untrusted_tls(folder: Path) -> ssl.SSLContext:
    """A server's context whose certificate nobody vouches for."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    file = folder / "untrusted.pem"
    file.write_bytes(certificate.public_bytes(pem) + key.private_bytes(pem, kind, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
