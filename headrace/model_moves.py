"""What workers load and unload, kept for a day by model version, so that jobs can tell what they waited for."""

from enum import StrEnum
from typing import NamedTuple

from headrace.keys import Keys
from headrace.redis_op import RedisOp, Reply

_KEPT_S = 86_400
#: Of each version.
_KEPT_MOVES = 200
#: A job shows so many, the last ones that it waited for.
_SHOWN = 20
_LONGEST_DETAIL = 200


class MoveKind(StrEnum):
    """What happened to a version on a worker."""

    LOADING = "model_loading"
    LOADED = "model_loaded"
    REFUSED = "model_refused"
    #: It gave way to another.
    UNLOADED = "model_unloaded"


class ModelMove(NamedTuple):
    """One of them. `at_ms` is on Redis's clock, and 0 before it is kept."""

    kind: MoveKind
    ref: str
    worker: str
    #: Seconds of the load that is over.
    took_s: float = 0.0
    #: Why it could not be loaded, or for which version it made way.
    detail: str = ""
    at_ms: int = 0

    @property
    def sentence(self) -> str:
        """What it says on a timeline."""
        match self.kind:
            case MoveKind.LOADING:
                return f"loading {self.ref} on worker {self.worker}"
            case MoveKind.LOADED:
                return f"loaded {self.ref} on worker {self.worker}: {self.took_s:.1f} s"
            case MoveKind.REFUSED:
                return f"{self.ref} could not be loaded on worker {self.worker}: {self.detail}"
            case MoveKind.UNLOADED:
                return f"{self.ref} made way for {self.detail or 'others'} on worker {self.worker}"


def note_move(keys: Keys, of: str, move: ModelMove) -> list[RedisOp[None]]:
    """Keep a move for the jobs of the version `of`."""
    key, detail = keys.model_moves(of), move.detail[:_LONGEST_DETAIL]
    fields = ("e", move.kind, "r", move.ref, "w", move.worker, "s", f"{move.took_s:.3f}", "d", detail)
    return [
        RedisOp(_nothing, ("XADD", key, "MAXLEN", "~", _KEPT_MOVES, "*", *fields)),
        RedisOp(_nothing, ("EXPIRE", key, _KEPT_S)),
    ]


def read_moves(keys: Keys, of: str, *, first_ms: int, last_ms: int | None) -> RedisOp[list[ModelMove]]:
    """The last moves of a time, the earliest first; without an end until now."""
    last = "+" if last_ms is None else last_ms
    return RedisOp(_moves, ("XREVRANGE", keys.model_moves(of), last, first_ms, "COUNT", _SHOWN))


def _moves(reply: Reply) -> list[ModelMove]:
    found = [_move(entry_id, fields) for entry_id, fields in reversed(reply)]
    return [move for move in found if move is not None]


def _move(entry_id: bytes, fields: list[bytes]) -> ModelMove | None:
    """An entry; None if somebody else wrote it."""
    texts = [field.decode(errors="replace") for field in fields]
    said = dict(zip(texts[::2], texts[1::2], strict=True))
    try:
        at_ms = int(entry_id.partition(b"-")[0])
        return ModelMove(MoveKind(said["e"]), said["r"], said["w"], float(said["s"]), said["d"], at_ms)
    except (KeyError, ValueError):
        return None


def _nothing(_: Reply) -> None:
    return None
