"""ModelOptions: what a model's author may decide about how it is run, by class keywords."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from headrace.errors import InvalidModel
from headrace.tiers import Tier

#: Tiers whose jobs may wait for company: a priority job never does.
_PATIENT = (Tier.STANDARD, Tier.SPOT)


def unknown_option(name: str, *, model: str) -> InvalidModel:
    """What to say of a class keyword that nobody takes."""
    known = ("max_batch", *ModelOptions.model_fields)
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return InvalidModel(f"{model}: '{name}' is no option; {hint}")


class ModelOptions(BaseModel):
    """How a version is batched and run; the defaults are those of a model that says nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Most padded cost of a batch (its items times the cost of the largest), in the author's units; None: no bound.
    max_cost: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    #: How long a batch that is not full may wait for company, in milliseconds by tier; else it goes at once.
    max_wait_ms: dict[Tier, float] = Field(default_factory=dict)
    #: True if NaN and infinity in a row are a failure of that item.
    finite: bool = False
    #: Type that `torch.autocast` computes in where that is safe.
    autocast: Literal["bfloat16", "float16"] | None = None
    #: Mode of `torch.compile`; with "reduce-overhead" passes on CUDA are replayed as CUDA graphs.
    compile: Literal["default", "reduce-overhead", "max-autotune"] | None = None
    #: Batch sizes that compiled passes are padded up to; none: powers of two.
    buckets: tuple[int, ...] = ()
    #: `own`: in a process of its own, so that a crash of it is nobody else's. One that crashes twice gets that anyway.
    isolation: Literal["shared", "own"] = "shared"
    #: What it needs of a worker's machine, as worker classes are labelled.
    labels: tuple[str, ...] = ()
    #: Where it runs: on a GPU only, or anywhere.
    device: Literal["any", "cuda"] = "any"
    #: Memory of its device that it needs, loaded and in its largest pass; 0: nobody knows.
    memory_bytes: int = Field(default=0, ge=0)
    #: Longest that a job may be in a forward pass, in seconds; its submitter may ask for less. None: as long as any.
    run_timeout_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    #: True if `preprocess` and `postprocess` may run beside `forward`, in other threads.
    overlap: bool = True

    @field_validator("max_wait_ms", mode="before")
    @classmethod
    def _for_each_tier(cls, value: Any) -> Any:
        """Let one number stand for all tiers that may wait."""
        return dict.fromkeys(_PATIENT, value) if isinstance(value, int | float) else value

    @field_validator("max_wait_ms")
    @classmethod
    def _only_patient_tiers(cls, value: dict[Tier, float]) -> dict[Tier, float]:
        for tier, wait_ms in value.items():
            if tier not in _PATIENT:
                raise ValueError(f"{tier} jobs never wait; only {' and '.join(_PATIENT)} may")
            if not 0 <= wait_ms <= 60_000:
                raise ValueError(f"{wait_ms:g} is not between 0 and 60000")
        return value

    @field_validator("buckets")
    @classmethod
    def _increasing(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if list(value) != sorted({size for size in value if size > 0}):
            raise ValueError("batch sizes must be positive and increase")
        return value

    def bucket_sizes(self, max_batch: int) -> tuple[int, ...]:
        """The sizes that compiled batches come in; the last one is `max_batch`."""
        sizes = self.buckets or tuple(2**i for i in range(max_batch.bit_length()))
        return (*(size for size in sizes if size < max_batch), max_batch)

    def updated(self, given: Mapping[str, Any], *, model: str) -> Self:
        """These options with the `given` ones in their place.

        Raises:
            InvalidModel: if one cannot be as it is given; says which, of which `model`.
        """
        try:
            return type(self).model_validate(self.model_dump(exclude_unset=True) | dict(given))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = ".".join(str(part) for part in first["loc"])
            raise InvalidModel(f"{model}: option {field}={first['input']!r}: {first['msg']}") from None
