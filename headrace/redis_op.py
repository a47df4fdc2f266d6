"""One request to Redis as a value: what to send and how to read the answer.

The synchronous client, the API's multiplexed connection and a worker's event loop all send the same operations, so each
is spelled once, in `store`.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Generic, TypeAlias, TypeVar

import hiredis

from headrace.keys import spell_keys

T = TypeVar("T")

Argument: TypeAlias = str | bytes | int | float
#: Where the next definition begins in `shared.lua`, and what it defines. Each uses only those above it.
_PARTS = re.compile(r"(?m)^(?=local )")
_DEFINED = re.compile(r"local (?:function )?(\w+)")
_COMMENT = re.compile(r"--.*")
#: Where a body has its long way.
_LONG_WAY = "  --> long way\n"

#: A RESP2 reply as hiredis gives it.
Reply: TypeAlias = Any


@dataclass(frozen=True)
class Script:
    """A Lua script as the server gets it."""

    name: str
    text: str

    @property
    def sha(self) -> str:
        """What `EVALSHA` calls it."""
        return _sha(self.text)


@cache
def _sha(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class RedisOp(Generic[T]):
    """A command and the function that reads its reply; with `script`, `args` are what EVALSHA gets."""

    parse: Callable[[Reply], T]
    args: Sequence[Argument]
    script: Script | None = None

    @property
    def command(self) -> Sequence[Argument]:
        """What goes over the wire first."""
        if self.script is None:
            return self.args
        return ("EVALSHA", self.script.sha, 1, *self.args)

    @property
    def fallback(self) -> Sequence[Argument]:
        """What goes over the wire when the server answers that it does not know the script."""
        if self.script is None:
            return self.args
        return ("EVAL", self.script.text, 1, *self.args)


def pack(command: Sequence[Argument]) -> bytes:
    """A command as it goes over the wire (RESP)."""
    packed: bytes = hiredis.pack_command(tuple(command))  # type: ignore[arg-type]  # its stub knows 1-tuples only
    return packed


@cache
def load_script(name: str) -> Script:
    """Read `lua/<name>.lua` and its long way, if it has one, and put key names and shared functions into them."""
    folder = files("headrace") / "lua"
    long_way = folder / "long" / f"{name}.lua"
    shared, body = (folder / "shared.lua").read_text(), (folder / f"{name}.lua").read_text()
    return assemble(name, body, shared, long_way.read_text() if long_way.is_file() else "")


def assemble(name: str, body: str, shared: str, long_way: str = "") -> Script:
    """Put a script together: its first line (the flags), what it uses of the shared functions, its body.

    What it does not use is left out: the server makes every function anew at each call. The long way, which what is not
    as usual goes, is a function's body, and what only that uses stands within it: it is made only where it is needed.
    """
    flags, _, rest = body.partition("\n")
    parts = _PARTS.split(shared)
    used = _used(rest, parts)
    used_beyond = [part for part in _used(long_way, parts) if part not in used]
    rest = rest.replace(_LONG_WAY, "".join(used_beyond) + long_way)
    return Script(name, f"{flags}\nlocal P = KEYS[1]\n{spell_keys(''.join(used) + rest)}")


def _used(text: str, parts: Sequence[str]) -> list[str]:
    used: list[str] = []
    for part in reversed(parts):
        if (defined := _DEFINED.match(part)) and re.search(rf"\b{defined[1]}\b", _COMMENT.sub("", text)):
            used.insert(0, part)
            text += part
    return used


@cache
def script_names() -> tuple[str, ...]:
    """The names of all scripts."""
    folder = files("headrace") / "lua"
    names = (path.name.removesuffix(".lua") for path in folder.iterdir() if path.name.endswith(".lua"))
    return tuple(sorted(name for name in names if name != "shared"))
