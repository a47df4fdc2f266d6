"""Job ids: `c1-` + a UUIDv7 in 26 letters + 6 letters that only this installation could have written.

The time inside makes ids sort by age (RFC 9562, section 5.7). The cell in front says where the record lives. The last
six letters are an HMAC over id and tenant, so an authentic id whose record is gone can be told from an invented one
without keeping anything.
"""

import hashlib
import hmac
import re
import secrets
import time

#: Crockford's alphabet: no letter that looks like another.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
#: Both numbers are even: letters come in pairs.
_UUID_LETTERS = 26
_SEAL_LETTERS = 6
_ID = re.compile(rf"^[a-z][a-z0-9]{{0,7}}-[{_ALPHABET}]{{{_UUID_LETTERS + _SEAL_LETTERS}}}$")

#: An id that a submitter may choose: long enough that two that are made up never meet.
#: What an id may be that a submitter chose, as long as it has not the form of ours.
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
    number = (now_ms << 80) | (7 << 76) | (rest_ns * 4096 // 1_000_000 << 64) | (2 << 62) | secrets.randbits(62)
    stem = f"{cell}-{_letters(number, _UUID_LETTERS)}"
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
    digest = hmac.digest(key, f"{tenant}/{stem}".encode(), hashlib.sha256)
    return _letters(int.from_bytes(digest[:4], "big"), _SEAL_LETTERS)


def _letters(number: int, count: int) -> str:
    """The lowest `5 * count` bits, five a letter; by pairs from a table, which is three times as fast as base32."""
    return "".join([_PAIRS[number >> shift & 1023] for shift in range(5 * (count - 2), -1, -10)])
