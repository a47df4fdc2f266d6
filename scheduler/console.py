"""Console: the output of several processes in one place, each line with the time and its process before it."""

import sys
import threading
import time
from typing import TextIO

import orjson

from headrace.timestamps import rfc3339

#: ANSI colours that are readable on dark and light ground: cyan, green, magenta, yellow, blue, red.
_COLOURS = (36, 32, 35, 33, 34, 31)
_WIDTH = 16


class Console:
    """Writes whole lines, from any thread.

    Args:
        out: where to; colours are used if it is a terminal.
        as_json: each line is one JSON object; those that are none yet, a database's for example, become one.
    """

    def __init__(self, out: TextIO = sys.stdout, *, as_json: bool = False) -> None:
        self._out = out
        self._as_json = as_json
        self._is_terminal = out.isatty()
        self._colour_of: dict[str, int] = {}
        self._lock = threading.Lock()

    def line(self, name: str, text: str) -> None:
        """Write one line that came from `name`."""
        with self._lock:
            self._write(f"{_as_object(name, text)}\n" if self._as_json else f"{self._prefix(name)} {text}\n")

    def plain(self, text: str) -> None:
        """Write text of our own."""
        with self._lock:
            self._write(f"{_as_object('up', text.strip())}\n" if self._as_json else f"{text}\n")

    def _prefix(self, name: str) -> str:
        time_of_day = time.strftime("%H:%M:%S")
        if not self._is_terminal:
            return f"{time_of_day} {name:<{_WIDTH}} |"
        colour = self._colour_of.setdefault(name, _COLOURS[len(self._colour_of) % len(_COLOURS)])
        return f"{time_of_day} \033[{colour}m{name:<{_WIDTH}} |\033[0m"

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except (OSError, ValueError):
            # Whoever read our output has gone; the processes go on without an audience.
            self._is_terminal = False


def _as_object(name: str, text: str) -> str:
    """A line of JSON as it came, any other as the message of one."""
    if text.startswith("{") and text.endswith("}"):
        return text
    line = {"time": rfc3339(time.time_ns() // 1_000_000), "service": name, "message": text}
    return orjson.dumps(line).decode()
