"""The settings file: what is wrong with it is said by its name, and a name that is misspelt is never ignored."""

import os
import tomllib
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from pydantic_settings import BaseSettings, TomlConfigSettingsSource

from headrace.errors import SettingsError

_PREFIX = "HEADRACE_"
_CONFIG = "HEADRACE_CONFIG"
_USUAL = "headrace.toml"
#: Variables of ours that are no settings: they are read by what they are for.
_OTHERS = frozenset({_CONFIG, "HEADRACE_FAILPOINTS", "HEADRACE_WEBHOOK_SECRET"})


class SettingsFile(TomlConfigSettingsSource):
    """`headrace.toml` in the working folder if it is there, or the file that `HEADRACE_CONFIG` names."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        """Read it.

        Raises:
            SettingsError: if it cannot be read, is no TOML, or sets what is no setting.
        """
        named = os.environ.get(_CONFIG)
        file = Path(named or _USUAL)
        if named and not file.exists():
            raise SettingsError(f"{_CONFIG}: there is no file '{named}'")
        try:
            super().__init__(settings_cls, toml_file=file)
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{file} cannot be read: {error}") from error
        if unknown := sorted(self.toml_data.keys() - settings_cls.model_fields.keys()):
            raise SettingsError(f"{file}: {'; '.join(not_a_setting(name, settings_cls) for name in unknown)}")


def not_a_setting(name: str, settings_cls: type[BaseSettings]) -> str:
    """A sentence about a name that nobody knows, with those that are close."""
    close = get_close_matches(name, settings_cls.model_fields, n=2)
    return f"'{name}' is no setting" + (f"; did you mean {' or '.join(close)}?" if close else "")


def place_of(path: Sequence[str | int], environment: Mapping[str, str]) -> str:
    """What a value is called where it was set: a variable, or a name in the settings file."""
    variable = _PREFIX + "__".join(map(str, path)).upper()
    top = _PREFIX + str(path[0]).upper()
    if any(name == top or name.startswith((f"{top}__", f"{top}_FILE")) for name in map(str.upper, environment)):
        return variable
    file = environment.get(_CONFIG, _USUAL)
    return f"{'.'.join(map(str, path))} in {file}" if Path(file).is_file() else variable


def unknown_variables(fields: Collection[str], environment: Mapping[str, str]) -> list[str]:
    """Variables that look like settings and are none, so that they do nothing."""
    known = {_PREFIX + field.upper() for field in fields}
    ours = [name for name in environment if name.upper().startswith(_PREFIX) and name not in _OTHERS]
    return sorted(name for name in ours if name.upper().partition("__")[0].removesuffix("_FILE") not in known)
