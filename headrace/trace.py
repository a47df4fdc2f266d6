"""W3C Trace Context: the `traceparent` of the request that made a job, which goes wherever the job goes.

Headrace makes no spans of its own, so it hands the header on as it came (https://www.w3.org/TR/trace-context/, section
2.3: forwarding without participating). `tracestate` is not kept: it may be long, and records are small.
"""

import re

#: As it appears on the wire, always in lower case.
TRACEPARENT = "traceparent"

_HEADER = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 0x01


def read_traceparent(text: str) -> str:
    """A header that is valid in the form of version 00, which has 55 bytes; empty for one that must be ignored.

    A header of a later version is read as far as version 00 goes, and only its sampled flag is believed (section 3.2).
    """
    match = _HEADER.fullmatch(text.strip(" \t"))
    if match is None:
        return ""
    version, trace_id, parent_id, flags, rest = match.groups()
    if version == "ff" or not int(trace_id, 16) or not int(parent_id, 16):
        return ""
    if version == "00":
        return "" if rest else f"00-{trace_id}-{parent_id}-{flags}"
    return f"00-{trace_id}-{parent_id}-{int(flags, 16) & _SAMPLED:02x}"


def trace_id_of(traceparent: str) -> str:
    """The id that all of one trace shares; empty for none."""
    return traceparent[3:35]
