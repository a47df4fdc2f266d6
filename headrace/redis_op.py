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

from headrace.keys import spell_keys

T = TypeVar("T")

Argument: TypeAlias = str | bytes | int | float
#: Where the next definition begins in `shared.lua`, and what it defines. Each uses only those above it.
_PARTS = re.compile(r"(?m)^(?=local )")
_DEFINED = re.compile(r"local (?:function )?(\w+)")

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


@cache
def load_script(name: str) -> Script:
    """Read `lua/<name>.lua`, with the key names and the shared functions put after its first line."""
    folder = files("headrace") / "lua"
    return assemble(name, (folder / f"{name}.lua").read_text(), (folder / "shared.lua").read_text())


def assemble(name: str, body: str, shared: str) -> Script:
    """Put a script together: its first line (the flags), what it uses of the shared functions, its body.

    What it does not use is left out: the server makes every function anew at each call.
    """
    flags, _, rest = body.partition("\n")
    used = rest
    for part in reversed(_PARTS.split(shared)):
        if (defined := _DEFINED.match(part)) and re.search(rf"\b{defined[1]}\b", used):
            used = part + used
    return Script(name, f"{flags}\nlocal P = KEYS[1]\n{spell_keys(used)}")


@cache
def script_names() -> tuple[str, ...]:
    """The names of all scripts."""
    folder = files("headrace") / "lua"
    names = (path.name.removesuffix(".lua") for path in folder.iterdir() if path.name.endswith(".lua"))
    return tuple(sorted(name for name in names if name != "shared"))
