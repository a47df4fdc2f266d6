"""Failures: what an exception means for an item, and for the process that it was raised in."""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from headrace.errors import FieldError, HeadraceError, InputError
from headrace.job_errors import error_document
from headrace.jobs import Cause

#: More of an exception's text than this helps nobody and costs Redis memory.
MAX_DETAIL = 2000
#: So many wrong fields of one input are kept.
MAX_FIELDS = 20


class ItemResult(NamedTuple):
    """How one input ended: `body` is the result's JSON or an error document."""

    ok: bool
    cause: Cause | None
    body: bytes


#: The end of an item that was not run, because it costs as much as one that ran out of memory alone: nothing failed.
SPARED = ItemResult(ok=False, cause=None, body=b"")


def attempt(step: Callable[[Any], Any], value: Any) -> Any:
    """Apply a step to one item; if it raises, answer how the item failed."""
    try:
        return step(value)
    except Exception as error:  # noqa: BLE001 - an author's hook may raise anything, and only this item is concerned
        return failed(error)


def failed(error: Exception) -> ItemResult:
    """The end of an item that an exception stands for; nothing of the exception is kept but its text."""
    cause = _cause(error)
    detail = error.detail if isinstance(error, HeadraceError) else f"{type(error).__name__}: {error}"
    return ItemResult(False, cause, error_document(cause, detail[:MAX_DETAIL], fields=_fields(error)))


def _fields(error: Exception) -> list[FieldError]:
    """What an author's hook, or the codec, found wrong with an input, as seen from the submission."""
    named = error.fields[:MAX_FIELDS] if isinstance(error, InputError) else ()
    return [
        FieldError(f"/input{it.pointer}"[:MAX_DETAIL], str(it.detail)[:MAX_DETAIL], str(it.code)[:MAX_DETAIL])
        for it in named
        if isinstance(it, FieldError)
    ]


def is_device_lost(error: Exception) -> bool:
    """Tell whether the device is of no more use to this process, as after a failed assertion in a CUDA kernel."""
    torch = sys.modules.get("torch")
    lost = getattr(torch, "AcceleratorError", None)
    return lost is not None and isinstance(error, lost) and not is_out_of_memory(error)


def _cause(error: Exception) -> Cause:
    if isinstance(error, InputError):
        return Cause.INPUT
    return Cause.OOM if is_out_of_memory(error) else Cause.MODEL


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether it was memory that was wanting, the process's or the device's."""
    torch = sys.modules.get("torch")
    on_device = torch is not None and isinstance(error, torch.OutOfMemoryError)
    on_cpu = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return isinstance(error, MemoryError) or on_device or on_cpu
