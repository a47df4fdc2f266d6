"""Additions: files and folders that join a model's own, as `NAME=PATH` on the command line."""

from collections.abc import Sequence
from pathlib import Path

from headrace.errors import InvalidInput


def parse_additions(additions: Sequence[str]) -> dict[str, Path]:
    """Read `NAME=PATH` options.

    Raises:
        InvalidInput: if one is not written like that.
    """
    pairs = [addition.partition("=") for addition in additions]
    for name, equals, path in pairs:
        if not (name and equals and path):
            raise InvalidInput(f"--add {name}{equals}{path} should be NAME=PATH, as in --add weights=./weights")
    return {name: Path(path) for name, _, path in pairs}
