"""Reading a JSON body into a shape, and saying of each field that does not fit what is wrong with it. Pure."""

import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar, get_args

import orjson
from pydantic import BaseModel, BeforeValidator, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from headrace.errors import FieldError, InvalidInput, MalformedRequest


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


#: Of a strict integer: 3.0 is one, as JSON Schema has it; "3" and true are none.
WHOLE = BeforeValidator(_whole)


def _dated(value: Any) -> Any:
    if isinstance(value, str) and value[4:5] != "-":
        raise ValueError("write a time as 2030-01-31T12:00:00Z")
    return value


#: Of a point in time: it is written as a date and a time, not as a number of seconds.
DATED = BeforeValidator(_dated)

Shape = TypeVar("Shape", bound=BaseModel)

_PROBLEMS_SHOWN = 20
#: Whatever a value is, Pydantic begins with it; `input` would be taken for the field that is called so.
_SUBJECT = re.compile(r"^(Value error, |(Input|Value|String|List|Tuple|Set|Dictionary|URL) should )")
_PLAINLY = {
    "a valid dictionary": "an object",
    "a valid list": "an array",
    "a valid tuple": "an array",
    "a valid string": "a string",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid boolean": "true or false",
}


def parse_body(raw: bytes, shape: type[Shape]) -> Shape:
    """Read a body.

    Raises:
        MalformedRequest: if it is not JSON.
        InvalidInput: naming each field that is missing, unknown or wrong.
    """
    return read_shape(parse_json(raw), shape)


def parse_json(raw: bytes) -> Any:
    """Read JSON.

    Raises:
        MalformedRequest: if it is none.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        fields = [FieldError("", str(error), "json_invalid")]
        raise MalformedRequest(f"the body is not JSON: {error}", fields=fields) from error


def read_shape(document: Any, shape: type[Shape], where: str = "") -> Shape:
    """Read what was JSON; `where` begins the pointers to what is wrong.

    Raises:
        InvalidInput: naming each field that is missing, unknown or wrong.
    """
    try:
        shaped: Shape = _validate(shape)(document)
    except ValidationError as error:
        problems = error.errors(include_url=False)[:_PROBLEMS_SHOWN]
        raise invalid_fields([_field_error(problem, shape, where) for problem in problems]) from error
    return shaped


@cache
def _validate(shape: type[BaseModel]) -> Callable[[Any], Any]:
    # What `model_validate` does around it costs half as much again.
    return TypeAdapter(shape).validator.validate_python


def invalid_fields(fields: Sequence[FieldError]) -> InvalidInput:
    """One error for all fields that are wrong."""
    detail = "; ".join(f"{field.pointer or 'the body'}: {field.detail}" for field in fields)
    return InvalidInput(detail, fields=fields)


def _field_error(problem: ErrorDetails, shape: type[BaseModel], where: str) -> FieldError:
    pointer = where + pointer_to(problem["loc"])
    match problem["type"]:
        case "extra_forbidden":
            names = ", ".join(_part(shape, problem["loc"]).model_fields)
            return FieldError(pointer, f"is not known; known are {names}", "unknown_field")
        case "missing":
            return FieldError(pointer, "is required", "missing_field")
        case "model_type" | "model_attributes_type":
            return FieldError(pointer, "must be an object", "wrong_type")
        case kind:
            return FieldError(pointer, worded(problem["msg"]), kind)


def worded(problem: str) -> str:
    """What Pydantic says is wrong with a field, as the end of a sentence that the field's name begins."""
    said = _SUBJECT.sub(lambda match: "must " if match[2] else "", problem)
    for validly, plainly in _PLAINLY.items():
        said = said.replace(validly, plainly)
    return said[:1].lower() + said[1:]


def _part(shape: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel]:
    """The shape of the object that the last step of a path is in."""
    for step in path[:-1]:
        field = shape.model_fields.get(str(step))
        kinds = [field.annotation, *get_args(field.annotation)] if field else []
        shape = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), shape)
    return shape


def pointer_to(path: Sequence[str | int]) -> str:
    """The JSON pointer (RFC 6901) to a place in the body."""
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return "".join(f"/{part}" for part in escaped)
