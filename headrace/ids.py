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
from functools import lru_cache

#: Crockford's alphabet: no letter that looks like another.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
#: Both numbers are even: letters come in pairs.
_UUID_LETTERS = 26
_SEAL_LETTERS = 6
_SHIFTS = {count: range(5 * (count - 2), -1, -10) for count in (6, 8, 10)}
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
    """Make an id for a job of `tenant` that is stored in `cell`; `key` is the installation's secret.

    What a UUIDv7 may fill by chance holds the fraction of the millisecond here, in 1/4096 (RFC 9562, section 6.2,
    method 3): jobs that arrive in one millisecond are served in the order of their ids.
    """
    now_ms, rest_ns = divmod(time.time_ns() if now_ns is None else now_ns, 1_000_000)
    chance = int.from_bytes(os.urandom(8)) >> 2
    upper = 7 << 36 | (rest_ns * 4096 // 1_000_000) << 24 | 2 << 22 | chance >> 40
    stem = f"{cell}-{_millisecond(now_ms)}{_letters(upper, 8)}{_letters(chance, 8)}"
    return stem + _seal(stem, tenant, key)


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
    stem, seal = job_id[:-_SEAL_LETTERS], job_id[-_SEAL_LETTERS:]
    return hmac.compare_digest(seal, _seal(stem, tenant, key))


def _seal(stem: str, tenant: str, key: bytes) -> str:
    digest = hashlib.blake2s(f"{tenant}/{stem}".encode(), key=key, digest_size=4).digest()
    return _letters(int.from_bytes(digest), _SEAL_LETTERS)


@lru_cache(16)
def _millisecond(now_ms: int) -> str:
    # Ids made one after the other mostly share it.
    return _letters(now_ms, 10)


def _letters(number: int, count: int) -> str:
    """The lowest `5 * count` bits, five a letter; by pairs from a table, which is three times as fast as base32."""
    return "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS[count]])
