"""Bounds: what stands where a submission says nothing, and what it may ask for at most. Pure."""

from typing import NamedTuple, Self

from headrace.dedupe import REMEMBERED_S, DedupeScope, Scope
from headrace.errors import FieldError
from headrace.model_options import ModelOptions
from headrace.reading import invalid_fields
from headrace.settings import Settings


class Bounds(NamedTuple):
    """For jobs of one model version."""

    max_attempts: int = 3
    #: The longest forward pass, seconds.
    most_run_s: float = 60.0
    #: What the model's author allows of it; None: all.
    model_run_s: float | None = None
    #: The longest that record and result may be kept, and how long they are if nothing is said, seconds.
    most_kept_s: int = 2_592_000
    kept_s: int = 86_400
    #: Its model has the hook that a seed is for.
    takes_seed: bool = False

    @classmethod
    def of(cls, settings: Settings, options: ModelOptions, *, takes_seed: bool) -> Self:
        """Those of an installation for a version with these options, and with the hook `seed` or without."""
        return cls(
            *(settings.max_attempts, settings.forward_limit_s, options.run_timeout_s),
            *(settings.max_result_ttl_s, settings.result_ttl_s, takes_seed),
        )

    def run_timeout_s(self, asked_s: float | None) -> float | None:
        """How long a job may run; None for as long as any pass.

        Raises:
            InvalidInput: if that is longer than allowed.
        """
        most_s = min(self.most_run_s, self.model_run_s or self.most_run_s)
        if asked_s is not None and asked_s > most_s:
            problem = f"is longer than this model's jobs may run, {most_s:g} s; ask for less or leave it out"
            raise invalid_fields([FieldError("/options/run_timeout_s", problem, "too_long")])
        return asked_s if asked_s is not None else self.model_run_s

    def check_kept_s(self, asked_s: int | None) -> int | None:
        """How long it is kept after its end; None for as long as others.

        Raises:
            InvalidInput: if that is longer than allowed.
        """
        if asked_s is not None and asked_s > self.most_kept_s:
            problem = f"is longer than anything is kept, {self.most_kept_s} s; ask for less"
            raise invalid_fields([FieldError("/options/result_ttl_s", problem, "too_long")])
        return asked_s

    def check_seed(self, asked: int | None) -> int | None:
        """What its model draws random numbers from; None for whatever it draws.

        Raises:
            InvalidInput: if there is one that its model would not heed.
        """
        if asked is not None and not self.takes_seed:
            problem = "is not taken: this version of the model has no hook `seed`; leave it out, or name one that has"
            raise invalid_fields([FieldError("/options/seed", problem, "seed_not_taken")])
        return asked

    def remembered_s(self, scope: DedupeScope, kept_s: int | None) -> int:
        """How long the dedupe key of a job that is kept so long is remembered, if it does not stay open for longer.

        Raises:
            InvalidInput: if its window is longer than allowed.
        """
        if scope.kind is Scope.CONTENT:
            return REMEMBERED_S + (kept_s or self.kept_s)
        if scope.window_s > self.most_kept_s:
            problem = f"has a window longer than anything is kept, {self.most_kept_s} s; give it less"
            raise invalid_fields([FieldError("/options/dedupe/scope", problem, "too_long")])
        return scope.window_s or REMEMBERED_S
