"""Progress of many jobs: told to whoever asked for it, or drawn as a bar for a person who looks at standard error."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any, TypeAlias

#: Called with how many have ended so far.
Progress: TypeAlias = Callable[[int], None]


@contextmanager
def told(progress: Progress | bool, values: Iterable[Any]) -> Iterator[Progress | None]:
    """Whom to tell: `progress` itself if it can be called, a bar for True, nobody for False."""
    if callable(progress):
        yield progress
    elif progress:
        with bar(len(values) if isinstance(values, Sized) else None) as tell:
            yield tell
    else:
        yield None


@contextmanager
def bar(total: int | None) -> Iterator[Progress]:
    """A bar on standard error while the block lasts, if that is a terminal and there is more than one thing to do."""
    from rich.console import Console  # takes longer to import than all else in a client, and few want a bar
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    shown = sys.stderr.isatty() and total != 1
    console, is_shared = Console(stderr=True), sys.stdout.isatty()  # elsewhere results have a way of their own
    with Bars(*columns, console=console, transient=True, redirect_stdout=is_shared, disable=not shown) as bars:
        task = bars.add_task("jobs", total=total)
        yield lambda ended: bars.update(task, completed=ended)
