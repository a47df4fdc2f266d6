"""Codec: from the JSON of one input to the type that the model's hint names, and from its result back to JSON."""

from collections.abc import Callable
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from headrace.errors import FieldError, InputError, InvalidModel
from headrace.reading import pointer_to

#: Hints that promise nothing, so that nothing is checked.
_ANYTHING = (Any, object)


def decoder(hint: Any) -> Callable[[bytes], Any]:
    """Make the function that reads one input; it raises InputError. A hint of `bytes` gets the JSON text as it came."""
    if hint is bytes:
        return _as_it_is
    if hint in _ANYTHING:
        return _decode_anything
    validate = TypeAdapter(hint).validate_json

    def decode(raw: bytes) -> Any:
        try:
            return validate(raw)
        except ValidationError as error:
            detail = f"the input does not fit the model's schema: {_problems(error)}"
            raise InputError(detail, fields=_fields(error)) from None

    return decode


def encoder(hint: Any) -> Callable[[Any], bytes]:
    """Make the function that writes one result; it raises InvalidModel. A hint of `bytes` passes JSON text on."""
    if hint is bytes:
        return _encode_bytes
    if hint in _ANYTHING:
        return _encode_anything
    adapter = TypeAdapter(hint)

    def encode(result: Any) -> bytes:
        try:
            return adapter.dump_json(adapter.validate_python(result))
        except ValidationError as error:
            problems = _problems(error)
            raise InvalidModel(f"the result ({type(result).__name__}) does not fit its hint: {problems}") from None

    return encode


def _as_it_is(raw: bytes) -> bytes:
    return raw


def _decode_anything(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InputError(f"the input is not JSON: {error}") from None


def _encode_bytes(result: Any) -> bytes:
    if type(result) is not bytes:
        raise InvalidModel(f"the result is hinted as bytes but is {type(result).__name__}")
    return result


def _encode_anything(result: Any) -> bytes:
    try:
        return orjson.dumps(result, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        raise InvalidModel(f"the result cannot be written as JSON: {error}") from None


def _fields(error: ValidationError) -> list[FieldError]:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [FieldError(pointer_to(e["loc"]), e["msg"], f"schema.{e['type']}") for e in found]


def _problems(error: ValidationError) -> str:
    """The first few problems, each with the place it is at."""
    found = error.errors(include_url=False, include_input=False, include_context=False)[:3]
    return "; ".join(f"{'/'.join(str(part) for part in e['loc']) or 'value'}: {e['msg']}" for e in found)
