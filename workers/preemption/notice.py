"""Notice: that this machine will be taken away, and how soon."""

from typing import NamedTuple


class Notice(NamedTuple):
    """Found by a source."""

    #: In the cloud's own words, for the log.
    what: str
    #: Seconds until the machine may be gone.
    left_s: float
