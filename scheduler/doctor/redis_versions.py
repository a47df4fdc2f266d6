"""Which versions of the server are too old, and which are known to be bad. Pure."""

import re
from typing import NamedTuple

from scheduler.doctor.finding import Finding, fail, ok, warn

Version = tuple[int, ...]

#: Below these, commands that Headrace needs are missing (WAITAOF among them).
_LEAST: dict[str, Version] = {"redis": (7, 2), "valkey": (7, 2)}


class KnownFault(NamedTuple):
    """A fault of some versions."""

    name: str
    server: str
    #: Release lines that have it -> the first version of the line without it.
    mended: dict[Version, Version]
    what: str


_FAULTS = (
    KnownFault(
        "CVE-2025-49844",
        "redis",
        {(7, 2): (7, 2, 11), (7, 4): (7, 4, 6), (8, 0): (8, 0, 4), (8, 2): (8, 2, 2)},
        "whoever may run scripts can run code on the server",
    ),
    KnownFault(
        "CVE-2025-49844",
        "valkey",
        {(7, 2): (7, 2, 11), (8, 0): (8, 0, 6), (8, 1): (8, 1, 4)},
        "whoever may run scripts can run code on the server",
    ),
    KnownFault(
        "CVE-2026-23479",
        "redis",
        dict.fromkeys(((7, 2), (7, 4), (8, 0), (8, 2), (8, 4), (8, 6)), (8, 6, 3)),
        "blocked clients that are evicted corrupt memory; leave maxmemory-clients at 0 until then",
    ),
    KnownFault("WAITAOF", "redis", {(7, 4): (7, 4, 3)}, "strict durability may be confirmed before the disk has it"),
)


def judge_version(server: str, text: str) -> list[Finding]:
    """What is to be said of a version, e.g. of `valkey` `8.1.4`."""
    match = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    if match is None:
        return [warn("redis version", f"{server} {text}", "make sure that it is Redis 7.2, Valkey 7.2 or newer")]
    version = tuple(int(part or 0) for part in match.groups())
    if version < _LEAST.get(server, (0,)):
        return [fail("redis version", f"{server} {text}", "Headrace needs Redis 7.2, Valkey 7.2 or newer: upgrade")]
    faults = [found for fault in _FAULTS if (found := _judge(fault, server, version))]
    return faults or [ok("redis version", f"{server} {text}")]


def _judge(fault: KnownFault, server: str, version: Version) -> Finding | None:
    mended = fault.mended.get(version[:2]) if server == fault.server else None
    if mended is None or version >= mended:
        return None
    have, want = ".".join(map(str, version)), ".".join(map(str, mended))
    return warn("redis version", f"{server} {have} has {fault.name}: {fault.what}", f"upgrade to {want} or newer")
