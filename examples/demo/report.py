"""What the demo tells: a line for each step, a progress bar, figures, where to look next."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from examples.demo.checks import Check


class Figures(NamedTuple):
    """What was measured."""

    #: From the start of this process.
    first_accepted_s: float
    #: From the first submission to the last result.
    took_s: float
    #: Of each job, accepted to finished.
    latencies_ms: Sequence[float]
    #: Of each job, the size of the batch it ran in.
    batch_sizes: Sequence[int]
    #: Of single jobs sent one after another to the idle system, request to result.
    alone_ms: Sequence[float]

    @property
    def batches(self) -> float:
        """How many forward passes there were: each of the n jobs of a batch is an n-th of it."""
        return sum(1 / size for size in self.batch_sizes)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


class Report:
    """Writes to the terminal, or plainly to whatever else standard output is."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def step(self, text: str) -> None:
        """One line about what was done."""
        self._console.print(f"[cyan]•[/] {text}", highlight=False, soft_wrap=True)

    @contextmanager
    def progress(self, total: int) -> Iterator[Callable[[], None]]:
        """Show how far it is; the function that is yielded counts one more."""
        if self._console.is_terminal:
            yield from self._bar(total)
        else:
            yield self._quarters(total)

    def checks(self, checks: Sequence[Check]) -> None:
        """Say what holds and what does not."""
        for check in checks:
            mark = "[green]✓[/]" if check.holds else "[bold red]✗[/]"
            self._console.print(f"{mark} {check.says} [dim]({check.found})[/]", highlight=False, soft_wrap=True)

    def figures(self, figures: Figures) -> None:
        """Show the measurements."""
        table = Table(show_header=False, box=None, padding=(0, 2))
        for name, value in _rows(figures):
            table.add_row(name, f"[bold]{value}[/]")
        self._console.print()
        self._console.print(table)

    def failure(self, text: str) -> None:
        """Say what went wrong."""
        self._console.print(f"[bold red]✗[/] {text}", highlight=False, soft_wrap=True)

    def text(self, text: str) -> None:
        """Say something as it is."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _bar(self, total: int) -> Iterator[Callable[[], None]]:
        columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task("results", total=total)
            yield lambda: progress.advance(task)

    def _quarters(self, total: int) -> Callable[[], None]:
        done = 0

        def advance() -> None:
            nonlocal done
            done += 1
            if done * 4 // total > (done - 1) * 4 // total:
                self.text(f"  results {done}/{total}")

        return advance


def _rows(figures: Figures) -> list[tuple[str, str]]:
    jobs = len(figures.batch_sizes)
    return [
        ("first job accepted", f"{figures.first_accepted_s:.1f} s after the start"),
        ("throughput", f"{jobs / figures.took_s:.0f} jobs/s ({jobs} in {figures.took_s:.1f} s)"),
        ("average batch", f"{jobs / figures.batches:.1f} jobs ({figures.batches:.0f} forward passes)"),
        ("accepted to finished, all at once", _p50_p99(figures.latencies_ms)),
        ("request to result, one at a time", _p50_p99(figures.alone_ms)),
    ]


def _p50_p99(values_ms: Sequence[float]) -> str:
    return f"p50 {percentile(values_ms, 0.5):.0f} ms, p99 {percentile(values_ms, 0.99):.0f} ms"
