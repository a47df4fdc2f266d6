"""How a rate of requests is given on the command line, and shown."""

from typing import Annotated

import typer

from headrace.errors import InvalidInput
from headrace.tenant_store import Rate

PerSecond = Annotated[
    float | None,
    typer.Option(
        "--rate", min=0, max=1e6, help="Requests a second in the long run; 0: any number.", show_default=False
    ),
]
Burst = Annotated[
    int | None,
    typer.Option("--burst", min=1, max=1_000_000, help="Requests at once, with --rate; else 100.", show_default=False),
]


def rate_of(per_s: float | None, burst: int | None) -> Rate | None:
    """The rate that was given, None if none was.

    Raises:
        InvalidInput: if there is a burst without a rate.
    """
    if per_s is None:
        if burst is not None:
            raise InvalidInput("--burst says how many requests may come at once at a rate; give --rate with it")
        return None
    return Rate(per_s=per_s) if burst is None else Rate(per_s=per_s, burst=burst)


def said_of(rate: Rate | None) -> str:
    """A rate in words; empty if nothing is limited."""
    return f"{rate.per_s:g}/s, {rate.burst} at once" if rate and rate.per_s else ""
