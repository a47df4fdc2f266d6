"""JobView: what the engine tells whoever watches its jobs: Celery and Flower, or nobody."""

from collections.abc import Collection, Sequence
from typing import Protocol

from workers.held_jobs import HeldJob


class JobView(Protocol):
    """Told of each step of each batch, after it happened, and now and then of all that is held."""

    def show(self, jobs: Collection[HeldJob]) -> None:
        """These are all that the worker holds."""

    def received(self, jobs: Sequence[HeldJob]) -> None:
        """Jobs were claimed."""

    def started(self, jobs: Sequence[HeldJob]) -> None:
        """Jobs entered a forward pass."""

    def ran(self, jobs: Sequence[HeldJob]) -> None:
        """Jobs were in a forward pass that nobody was told of before its end; `ended` follows."""

    def ended(self, jobs: Sequence[HeldJob], errors: Sequence[str | None], took_s: float) -> None:
        """Jobs ended in a pass of `took_s`; each that failed comes with its error document."""

    def canceled(self, jobs: Sequence[HeldJob]) -> None:
        """Jobs were canceled before their pass."""


class NoView:
    """Nobody watches."""

    def show(self, jobs: Collection[HeldJob]) -> None:
        """Ignore it."""

    def received(self, jobs: Sequence[HeldJob]) -> None:
        """Ignore it."""

    def started(self, jobs: Sequence[HeldJob]) -> None:
        """Ignore it."""

    def ran(self, jobs: Sequence[HeldJob]) -> None:
        """Ignore it."""

    def ended(self, jobs: Sequence[HeldJob], errors: Sequence[str | None], took_s: float) -> None:
        """Ignore it."""

    def canceled(self, jobs: Sequence[HeldJob]) -> None:
        """Ignore it."""
