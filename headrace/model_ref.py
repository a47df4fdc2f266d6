"""A model's name and version, as it is written in keys, records and on the command line: `embedder@3`."""

import re
from functools import lru_cache
from typing import NamedTuple, Self

from headrace.errors import InvalidInput

#: Lower case, so that two names never differ in case only; 48 characters, so that a record stays compact.
NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,47}$"
_NAME = re.compile(NAME_PATTERN)


class ModelRef(NamedTuple):
    """One version of one model. A batch never mixes two."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"

    @classmethod
    @lru_cache(1024)  # every record names its model, and there are few
    def parse(cls, text: str) -> Self:
        """Read `name@version`.

        Raises:
            InvalidInput: if the text is anything else.
        """
        name, _, version = text.partition("@")
        if not valid_name(name) or not version.isdecimal() or int(version) < 1:
            raise InvalidInput(f"'{text}' is not a model version; write it as name@3")
        return cls(name, int(version))


def valid_name(name: str) -> bool:
    """Tell whether a model may have this name."""
    return _NAME.fullmatch(name) is not None and ".." not in name
