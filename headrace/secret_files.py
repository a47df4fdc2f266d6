"""Secrets by file: `HEADRACE_REDIS_PASSWORD_FILE=/run/secrets/redis_password` in place of the value itself.

Environment variables show in `docker inspect` and are inherited by every child process; a file does neither.
"""

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from headrace.errors import SettingsError

_SUFFIX = "_FILE"


class SecretFiles(PydanticBaseSettingsSource):
    """Settings whose values stand in files that `<PREFIX><NAME>_FILE` names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The file's text without the line's end; None where no file is named.

        Raises:
            SettingsError: if the file cannot be read, or the value is given as well.
        """
        variable = f"{self.config.get('env_prefix', '')}{field_name}".upper()
        path = os.environ.get(variable + _SUFFIX)
        if path is None:
            return None, field_name, False
        if variable in os.environ:
            raise SettingsError(f"{variable} and {variable}{_SUFFIX} are both set; keep one of them")
        try:
            text = Path(path).read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{variable}{_SUFFIX}: '{path}' cannot be read: {error}") from error
        return text, field_name, self.field_is_complex(field)

    def __call__(self) -> dict[str, Any]:
        """All values that stand in files."""
        values = {}
        for name, field in self.settings_cls.model_fields.items():
            value, key, is_complex = self.get_field_value(field, name)
            if value is not None:
                values[key] = self.prepare_field_value(name, field, value, is_complex)
        return values


def password_of(url: str) -> str:
    """The password in a Redis URL, as the server knows it; empty if there is none."""
    return unquote(urlsplit(url).password or "")


def with_password(url: str, password: str) -> str:
    """A Redis URL with this password, unless it has one."""
    parts = urlsplit(url)
    if parts.password or not password:
        return url
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.rstrip(':')}:{quote(password, safe='')}@{host}"))
