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
        *record, output = msgpack.unpackb(told)
        job = Job.from_record(member, dict(zip(record[::2], record[1::2], strict=True)))
        return (job, output.encode()) if job.status.is_terminal else None
    except (AttributeError, InvalidInput, KeyError, TypeError, ValueError):
        return None
