"""Replies of Redis that are no records: names, values, states, flags."""

from headrace.groups import is_group
from headrace.jobs import JobStatus
from headrace.redis_op import Reply


def read_texts(reply: Reply) -> list[str]:
    """Any list of names."""
    # Names that nobody of ours has written lead nowhere, but must be readable.
    return [text.decode(errors="replace") for text in reply]


def read_groups(reply: Reply) -> list[str]:
    """Names of groups; others are left out."""
    return [group for group in read_texts(reply) if is_group(group)]


def read_numbers(reply: Reply) -> dict[str, int]:
    """A hash of whole numbers, none below 0; what somebody else wrote there is left out."""
    pairs = zip(reply[::2], reply[1::2], strict=True)
    return {name.decode(errors="replace"): int(number) for name, number in pairs if number.isdigit()}


def read_status(reply: Reply) -> JobStatus | None:
    """A state, or nothing."""
    return JobStatus(reply.decode()) if reply else None


def read_flags(reply: Reply) -> list[bool]:
    """One character a job."""
    return [flag == "1" for flag in reply.decode()]


def read_raw_bytes(reply: Reply) -> bytes | None:
    """A value as it is, or nothing."""
    return reply if reply is None else bytes(reply)


def read_optional_int(reply: Reply) -> int | None:
    """A number, or nothing."""
    return reply if reply is None else int(reply)
