"""What the demo tells: a line for each step, a progress bar, a picture, figures, checks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from examples.demo.checks import Check
from examples.demo.figures import Rows
from examples.demo.picture import draw
from examples.demo.timeline import Sample

_PICTURE_WIDTH = 96


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

    @contextmanager
    def picture(self) -> Iterator[Callable[[Sequence[Sample]], None]]:
        """Show what happens; the function that is yielded draws it anew. Without a terminal, the last drawing only."""
        width = min(_PICTURE_WIDTH, self._console.width)
        try:
            with Live(console=self._console, auto_refresh=False) as live:
                yield lambda samples: live.update(draw(samples, width=width), refresh=True)
        finally:
            if not self._console.is_terminal:
                self._console.print()  # Live ends the last row on terminals only

    def figures(self, rows: Rows) -> None:
        """Show measurements."""
        table = Table(show_header=False, box=None, padding=(0, 2))
        for name, value in rows:
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
