"""Model: the class that a model author writes. It imports no framework; what it needs is the author's choice.

An item goes through the hooks in this order: `preprocess` (one item), `forward` (the batch), `postprocess` (one row).
`preprocess_all` may stand in for `preprocess` where several items have come.
The input's schema is the type hint of what the first of them takes, the output's that of what the last returns.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from headrace.model_options import ModelOptions, unknown_option

#: Largest batch of a model that says nothing about it.
DEFAULT_MAX_BATCH = 32


class Model:
    """One model: `class Embedder(Model, max_batch=64, max_cost=16_384)` with at least the hook `forward`.

    Class keywords are `max_batch` and the fields of `ModelOptions`; a subclass inherits what it does not say. The first
    paragraph of the subclass's docstring describes the model to its users.
    """

    #: Inputs that show what the model takes: for documentation, warm-up and the conformance check.
    examples: ClassVar[Sequence[Any]] = ()
    #: Most items that `forward` is given at once; set by the class keyword.
    max_batch: ClassVar[int] = DEFAULT_MAX_BATCH
    #: Distributions that its hooks import, as `transformers>=5`; those of its base classes need not be said again.
    requires: ClassVar[Sequence[str]] = ()
    #: What runs it, as its version says: `python` is its own source alone.
    runtime: ClassVar[str] = "python"
    #: How it is batched and run; set by class keywords.
    options: ClassVar[ModelOptions] = ModelOptions()
    #: Set by who runs it, if somebody listens; authors call `progress`.
    on_progress: Callable[[int, float, str], None] | None = None

    def __init_subclass__(cls, *, max_batch: int | None = None, **keywords: Any) -> None:
        given = {name: keywords.pop(name) for name in ModelOptions.model_fields if name in keywords}
        try:
            super().__init_subclass__(**keywords)
        except TypeError as error:
            if not keywords:
                raise
            raise unknown_option(min(keywords), model=cls.__name__) from error
        cls.options = cls.options.updated(given, model=cls.__name__)
        if max_batch is not None:
            cls.max_batch = max_batch

    def load(self, files: Path, device: str) -> None:
        """Get ready, once per process: `files` is the folder of the version, `device` is cpu, cuda or cuda:0."""

    def preprocess(self, item: Any) -> Any:
        """Turn one input into what a batch is made of; raise InputError to refuse this one only.

        Tensors or arrays of one shape reach `forward` stacked (tensors on the model's device), anything else as a list.
        """
        return item

    def preprocess_all(self, items: Sequence[Any]) -> Sequence[Any]:
        """Turn several inputs into what `preprocess` would make of each, in order; written beside it, or not at all.

        Worth it where one call for many lets go of the interpreter, as tokenizers do: then it is free beside a pass. An
        exception in place of an item refuses that one only; if this raises, each goes through `preprocess` instead.
        """
        return [self.preprocess(item) for item in items]

    def seed(self, item: Any, seed: int) -> Any:  # noqa: ARG002 - the author's looks at it
        """Have an item as `preprocess` left it draw random numbers from this seed only; `forward` gets what it returns.

        Called for jobs that bring a seed, a whole number from 0 to 2**53 - 1; a model without this hook is given none.
        Put the seed into the item, or what was drawn, but no generator: a pass may be repeated, and it would go on.
        """
        return item

    def forward(self, batch: Any) -> Any:
        """Run a batch in one pass and return one row per item, in order: a list, or an array or tensor of rows.

        An exception in place of a row fails that item alone.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def progress(self, place: int, fraction: float, message: str = "") -> None:
        """Say in `forward` how far an item is, for those who wait for it; called as often as is handy, by any thread.

        Args:
            place: of the item in the batch that `forward` was given, from 0.
            fraction: from 0 to 1.
            message: a few words; what is beyond 64 bytes is cut off.
        """
        if self.on_progress is not None:
            self.on_progress(place, fraction, message)

    def postprocess(self, row: Any) -> Any:
        """Turn one row into the result; tensors have been copied to the CPU."""
        return row

    def checkpoint(self) -> Sequence[bytes | None]:
        """How far each item of the running batch is, in its order; None for one that had better begin anew.

        Called beside `forward`, from another thread, when the worker must leave before the pass can end. What it
        returns is kept with the jobs, within a limit, and given to `resume` on the worker that runs them next.
        """
        return ()

    def resume(self, item: Any, state: bytes) -> Any:  # noqa: ARG002 - the author's looks at it
        """Put what `checkpoint` returned into an item as `preprocess` left it; `forward` gets what this returns."""
        return item

    def to_host(self) -> None:
        """Move what is on the device to host memory: the model makes way for others, and nothing runs meanwhile.

        Written together with `to_device`, or not at all: then the model is unloaded instead, and loaded again.
        """

    def to_device(self, device: str) -> None:
        """Move back to the device of `load` what `to_host` moved, so that `forward` runs as before."""

    def cost(self, item: Any) -> int:  # noqa: ARG002 - the author's may look at it
        """Size of one item as `preprocess` left it, in tokens, pixels or whatever its time grows with."""
        return 1
