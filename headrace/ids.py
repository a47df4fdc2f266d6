"""Job ids: `c1-` + a UUIDv7 in 26 letters + 6 letters that only this installation could have written.

The time inside makes ids sort by age (RFC 9562, section 5.7). The cell in front says where the record lives. The last
six letters are a hash of id and tenant under a secret key (BLAKE2s, RFC 7693), so an authentic id whose record is gone
can be told from an invented one without keeping anything.
"""

import hashlib
import hmac
import os
import re
import time
from collections.abc import Sequence
from functools import lru_cache

#: Crockford's alphabet: no letter that looks like another.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
#: What ten bits are written as: letters in pairs take a third of the time of base32.
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
#: And what five bits are, of a byte the last ones.
_LETTER_OF = (_ALPHABET * 8).encode()
#: Of a UUID; the last of them are there by chance.
_UUID_LETTERS, _CHANCE_LETTERS = 26, 12
#: Of a millisecond, as an id tells them apart.
_FRACTIONS = 4096
_SEAL_LETTERS = 6
_ID = re.compile(rf"^[a-z][a-z0-9]{{0,7}}-[{_ALPHABET}]{{{_UUID_LETTERS + _SEAL_LETTERS}}}$")

#: What an id may be that a submitter chose, as long as it has not the form of ours: long enough that two that are made
#: up never meet.
CHOSEN_PATTERN = r"^[A-Za-z0-9_-]{26,64}$"
_CHOSEN = re.compile(CHOSEN_PATTERN)

#: Whose jobs all jobs are until callers have keys.
DEFAULT_TENANT = "default"

#: What a cell may be called.
CELL_PATTERN = r"^[a-z][a-z0-9]{0,7}$"


def new_job_id(*, cell: str, tenant: str, key: bytes, now_ns: int | None = None) -> str:
    """Make an id for a job of `tenant` that is stored in `cell`; `key` is the installation's secret."""
    return new_job_ids(1, cell=cell, tenant=tenant, key=key, now_ns=now_ns)[0]


def new_job_ids(count: int, *, cell: str, tenant: str, key: bytes, now_ns: int | None = None) -> list[str]:
    """Make ids for jobs that came together, in this order.

    What a UUIDv7 may fill by chance holds the fraction of the millisecond here, in 1/4096 (RFC 9562, section 6.2,
    method 3): jobs that arrive in one millisecond are served in the order of their ids. Each of these is one 4096th
    later than the one before.
    """
    began = (time.time_ns() if now_ns is None else now_ns) * _FRACTIONS // 1_000_000
    chance, size, keyed = os.urandom(count * (_CHANCE_LETTERS + 1)), _CHANCE_LETTERS + 1, _keyed(tenant, key)
    letters = chance.translate(_LETTER_OF).decode()
    stems = []
    for first, moment in zip(range(0, count * size, size), range(began, began + count), strict=True):
        # The version, the fraction, the variant, and two bits by chance.
        middle = 7 << 16 | moment % _FRACTIONS << 4 | 2 << 2 | chance[first] & 3
        time_letters = f"{_millisecond(moment // _FRACTIONS)}{_PAIRS[middle >> 10]}{_PAIRS[middle & 1023]}"
        stems.append(f"{cell}-{time_letters}{letters[first + 1 : first + size]}")
    return _sealed(stems, keyed)


def has_form(text: str) -> bool:
    """Tell whether a text looks like a job's id, whoever gave it out."""
    return _ID.fullmatch(text) is not None


def check_chosen_id(text: str) -> str:
    """An id that a submitter chose, as it is.

    Such an id never has the form of ours: nobody can take one that we may give out, and an id of ours whose record is
    gone is told from an invented one by its seal alone.

    Raises:
        ValueError: saying what an id may look like.
    """
    if not _CHOSEN.fullmatch(text):
        raise ValueError("an id has 26 to 64 letters, digits, - or _, as a UUID has")
    if has_form(text):
        raise ValueError("has the form of the ids that are given out; choose one that has not, as a UUID")
    return text


def is_authentic(job_id: str, *, tenant: str, key: bytes) -> bool:
    """Tell whether this installation once gave `job_id` to `tenant`."""
    if not has_form(job_id):
        return False
    return hmac.compare_digest(job_id, _sealed([job_id[:-_SEAL_LETTERS]], _keyed(tenant, key))[0])


def _sealed(stems: Sequence[str], keyed: hashlib.blake2s) -> list[str]:
    ids = []
    for stem in stems:
        seal = keyed.copy()
        seal.update(stem.encode())
        number = int.from_bytes(seal.digest())
        ids.append(f"{stem}{_PAIRS[number >> 20 & 1023]}{_PAIRS[number >> 10 & 1023]}{_PAIRS[number & 1023]}")
    return ids


@lru_cache(256)
def _keyed(tenant: str, key: bytes) -> hashlib.blake2s:
    """The seal as far as it is the same for all ids of a tenant."""
    return hashlib.blake2s(f"{tenant}/".encode(), key=key, digest_size=4)


@lru_cache(16)  # ids made together mostly share it
def _millisecond(now_ms: int) -> str:
    return f"{_quarter_hour(now_ms >> 20)}{_PAIRS[now_ms >> 10 & 1023]}{_PAIRS[now_ms & 1023]}"


@lru_cache(16)
def _quarter_hour(number: int) -> str:
    """What the ids of a million milliseconds share."""
    return "".join(_PAIRS[number >> shift & 1023] for shift in (20, 10, 0))
