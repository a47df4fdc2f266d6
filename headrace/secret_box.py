"""SecretBox: secrets that must be read again, the ones that sign webhooks, are kept encrypted (AES-256-GCM).

Whoever reads Redis or its append-only file learns none of them: the key is a setting, `webhook_key`, or lies in a file
of the data folder, which `headrace up` makes.
"""

import base64
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from headrace.errors import SettingsError
from headrace.settings import Settings

_MARK = "sealed1:"
_NONCE_BYTES = 12
_KEY_BYTES = 32
_PURPOSE = b"headrace webhook secret"


class SecretBox:
    """Seals and opens.

    Args:
        key: 32 bytes in base64.
    """

    def __init__(self, key: str) -> None:
        self._cipher = AESGCM(base64.b64decode(key))

    def seal(self, secret: str) -> str:
        """Encrypt, each time anew."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return _MARK + base64.b64encode(nonce + self._cipher.encrypt(nonce, secret.encode(), _PURPOSE)).decode()

    def open(self, text: str) -> str:
        """Decrypt; what was kept before there was a key is as it is.

        Raises:
            SettingsError: if another key sealed it.
        """
        if not text.startswith(_MARK):
            return text
        try:
            raw = base64.b64decode(text.removeprefix(_MARK), validate=True)
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _PURPOSE).decode()
        except (ValueError, InvalidTag) as error:
            raise SettingsError("a secret was sealed with another webhook_key than the one that is set") from error


class OpenBox(SecretBox):
    """Where no key is set: secrets are kept as they are."""

    def __init__(self) -> None:
        """Nothing is needed."""

    def seal(self, secret: str) -> str:
        """As it is."""
        return secret

    def open(self, text: str) -> str:
        """As it is.

        Raises:
            SettingsError: if it was sealed when there was a key.
        """
        if text.startswith(_MARK):
            raise SettingsError("a secret is sealed and webhook_key is not set; set the key that sealed it")
        return text


def key_file(data_dir: Path) -> Path:
    """Where the key lies if it is no setting."""
    return data_dir.absolute() / "webhook.key"


def box_of(settings: Settings) -> SecretBox:
    """The box of a process, by its setting or the file in its data folder; an open one if there is neither."""
    file = key_file(settings.data_dir)
    key = settings.webhook_key or (file.read_text().strip() if file.exists() else "")
    return SecretBox(key) if key else OpenBox()


def make_key_file(data_dir: Path) -> None:
    """Make the key, readable by its owner only, if there is none."""
    file = key_file(data_dir)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as out:
        out.write(base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode() + "\n")
