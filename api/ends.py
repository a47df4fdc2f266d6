"""How a job has ended, as the event of its end tells those who wait for it: so nobody need read it again."""

import msgpack

from headrace.errors import InvalidInput
from headrace.jobs import Job


def read_end(member: str, told: bytes) -> tuple[Job, bytes] | None:
    """The record and the output that `commit` put beside the event; None if that is none of ours.

    Args:
        member: whose end it is.
        told: MessagePack: field, value, field, value, …, output.
    """
    try:
        # All of it is text, and read as such at once: one by one, the values would take as long as all else here.
        parts = msgpack.unpackb(told)
        output, fields = parts.pop(), iter(parts)
        job = Job.from_record(member, dict(zip(fields, fields, strict=True)))
        return (job, output.encode()) if job.status.is_terminal else None
    except (AttributeError, IndexError, InvalidInput, KeyError, TypeError, ValueError):
        return None
