"""How a job has ended, as the event of its end tells those who wait for it: so nobody need read it again."""

import msgpack

from headrace.jobs import Job


def read_end(member: str, told: bytes) -> tuple[Job, bytes] | None:
    """The record and the output that `commit` put beside the event; None if that is none of ours.

    Args:
        member: whose end it is.
        told: MessagePack: field, value, field, value, …, output.
    """
    try:
        *record, output = msgpack.unpackb(told, raw=True)
        texts = [part.decode() for part in record]
        job = Job.from_record(member, dict(zip(texts[::2], texts[1::2], strict=True)))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return (job, output) if job.status.is_terminal and isinstance(output, bytes) else None
