"""ChildListener: what a model's process says and does, as the parent is told of it."""

from collections.abc import Collection
from typing import Protocol

from workers.frames import PassReport
from workers.residency import Footprint


class ChildListener(Protocol):
    """Who is told what the child says and does."""

    def child_ready(self) -> None:
        """A new child waits for work; it has loaded nothing yet."""

    def model_loaded(self, ref: str, max_batch: int, footprint: Footprint, used_bytes: int) -> None:
        """A model version can run; with it the child uses so much memory."""

    def model_unloaded(self, ref: str, used_bytes: int | None) -> None:
        """A model version is gone; without it the child uses so much memory, None if the child went with it."""

    def model_parked(self, ref: str, host_bytes: int, took_s: float, used_bytes: int) -> None:
        """A model version was copied to host memory, of which it takes so much; without it the child uses so much."""

    def copy_lost(self, ref: str, cause: str) -> None:
        """The child is gone while it copied a version to host memory; `child_died` follows."""

    def model_refused(self, ref: str, error: str, used_bytes: int) -> None:
        """A model version could not be loaded; the child uses so much memory now."""

    def batch_started(self, ref: str, slots: list[int], expected_s: float) -> None:
        """A forward pass begins, so the one before has ended; 0 s if nobody knows how long it takes."""

    def pass_found(self, slot: int) -> None:
        """A forward pass of this job alone is under way, of which the child has not told."""

    def batch_done(self, slots: list[int], results: list[tuple[bool, str | None, bytes]], report: PassReport) -> None:
        """The results of a forward pass are here; the next one may have begun. It is the first word of a brief one."""

    def checkpointed(self, slots: list[int], states: list[bytes]) -> None:
        """How far jobs of the running pass are; an empty state means that nothing is kept."""

    def progressed(self, said: list[tuple[int, float, str]]) -> None:
        """What the model says of how far jobs of the running pass are: slot, fraction of 1, words."""

    def model_learned(self, ref: str, state: bytes) -> None:
        """What is known of a version's speed by now, for `Executor.load` elsewhere."""

    def child_died(self, suspects: list[int], cause: str, loading: str | None, lost: Collection[str]) -> None:
        """The child is gone, and with it all versions that it was to have loaded.

        `suspects` were in the forward pass, `loading` was being loaded.
        """
