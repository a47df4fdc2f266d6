"""Signature: what a model takes and returns, read from the type hints of its hooks."""

import collections.abc
import inspect
import typing
from typing import Any, NamedTuple

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from headrace.errors import InvalidModel
from headrace.model import Model

#: Hints of a batch or of rows that say what one item is.
_SEQUENCES = (list, collections.abc.Sequence, collections.abc.Iterable)


class _ClosedSchema(GenerateJsonSchema):
    """Refuses unknown fields unless the author's model allows them: a misspelt field must not be ignored in silence."""

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        document = super().model_schema(schema)
        if "extra" not in schema["cls"].model_config:
            document.setdefault("additionalProperties", False)
        return document


class Signature(NamedTuple):
    """Types of one input and one result. `bytes` means JSON text that the model reads or writes itself."""

    input: Any
    output: Any

    def input_schema(self) -> dict[str, Any]:
        """JSON Schema of one input; fields that a model class does not have are refused."""
        return {} if self.input is bytes else TypeAdapter(self.input).json_schema(schema_generator=_ClosedSchema)

    def output_schema(self) -> dict[str, Any]:
        """JSON Schema of one result."""
        return {} if self.output is bytes else TypeAdapter(self.output).json_schema(mode="serialization")


def overrides(model: type[Model], hook: str) -> bool:
    """Tell whether the author wrote this hook."""
    return getattr(model, hook) is not getattr(Model, hook)


def prepares_together(model: type[Model]) -> bool:
    """Tell whether the author wrote how several inputs are preprocessed, and did not write `preprocess` anew since."""
    first = next(kind for kind in model.__mro__ if {"preprocess", "preprocess_all"} & vars(kind).keys())
    return first is not Model and "preprocess_all" in vars(first)


def takes_seed(model: type[Model]) -> bool:
    """Tell whether the author wrote the hook `seed`.

    Raises:
        InvalidModel: if something else is called so.
    """
    if not overrides(model, "seed"):
        return False
    hook: Any = model.seed
    try:
        inspect.signature(hook).bind(model, "item", 0)
    except TypeError as error:
        raise InvalidModel(
            f"{model.__name__}.seed is no hook; write it as `def seed(self, item, seed)`, or call it otherwise: {error}"
        ) from error
    return True


def signature_of(model: type[Model]) -> Signature:
    """Read the hint on the item of the first hook and the return hint of the last.

    Raises:
        InvalidModel: naming the hook whose hint is missing, unknown, or has no JSON Schema.
    """
    if not overrides(model, "forward"):
        raise InvalidModel(f"{model.__name__} has no forward; it is the one hook that every model needs")
    if overrides(model, "checkpoint") is not overrides(model, "resume"):
        raise InvalidModel(f"{model.__name__}: checkpoint and resume belong together; write both, or none")
    if overrides(model, "to_host") is not overrides(model, "to_device"):
        raise InvalidModel(f"{model.__name__}: to_host and to_device belong together; write both, or none")
    if overrides(model, "preprocess_all") and not overrides(model, "preprocess"):
        raise InvalidModel(f"{model.__name__}: preprocess_all needs preprocess beside it, for an input by itself")
    before, after = overrides(model, "preprocess"), overrides(model, "postprocess")
    taken = _argument(model, "preprocess") if before else _item(model, "forward", _argument(model, "forward"))
    given = _returned(model, "postprocess") if after else _item(model, "forward", _returned(model, "forward"))
    signature = Signature(taken, given)
    _check(model, "preprocess" if before else "forward", signature.input_schema)
    _check(model, "postprocess" if after else "forward", signature.output_schema)
    return signature


def _hints(model: type[Model], hook: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(getattr(model, hook), include_extras=True)
    except Exception as error:
        raise InvalidModel(f"{model.__name__}.{hook}: a type hint cannot be resolved: {error}") from error


def _argument(model: type[Model], hook: str) -> Any:
    names = list(inspect.signature(getattr(model, hook)).parameters)
    hints = _hints(model, hook)
    if len(names) < 2 or names[1] not in hints:
        raise InvalidModel(f"{model.__name__}.{hook}: its argument needs a type hint; it becomes the input's schema")
    return hints[names[1]]


def _returned(model: type[Model], hook: str) -> Any:
    hints = _hints(model, hook)
    if hints.get("return", type(None)) is type(None):
        raise InvalidModel(f"{model.__name__}.{hook}: it needs a return hint; it becomes the output's schema")
    return hints["return"]


def _item(model: type[Model], hook: str, hint: Any) -> Any:
    if typing.get_origin(hint) not in _SEQUENCES:
        raise InvalidModel(
            f"{model.__name__}.{hook}: the hint {hint!r} does not say what one item is; write it as list[Item], "
            "or add preprocess or postprocess with the item's type"
        )
    return typing.get_args(hint)[0]


def _check(model: type[Model], hook: str, schema: collections.abc.Callable[[], object]) -> None:
    try:
        schema()
    except (PydanticUserError, TypeError, NameError) as error:
        problem = str(error).partition("\n")[0]
        raise InvalidModel(f"{model.__name__}.{hook}: its hint has no JSON Schema: {problem}") from error
