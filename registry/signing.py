"""Signatures of versions: who published one can be proved, whoever may write to the object store.

Ed25519 (RFC 8032) over the manifest, which names every file by its sha256: so one signature covers everything that a
version is, its name and number included. A signature is an object of its own beside the manifest; a version may have
several. Keys are written as `ed25519:<32 bytes, base64>`.
"""

import base64
import binascii
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from headrace.errors import InvalidInput, ModelFilesError
from registry.manifest import Manifest, canonical_json
from registry.object_store import ObjectStore

_KIND = "ed25519:"
#: Goes into every signature, so that none made for something else is one of a version.
_PURPOSE = b"headrace model version\n"


def make_key(path: Path) -> str:
    """Make a private key, in a file that only its owner can read; answers the public key.

    Raises:
        InvalidInput: if there is such a file already, or it cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}; a key is never written over another file") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(_written(key.private_bytes_raw()) + "\n")
    return _written(key.public_key().public_bytes_raw())


class Signer:
    """Signs with the private key in a file.

    Raises:
        InvalidInput: if there is none.
    """

    def __init__(self, *, key_file: Path) -> None:
        try:
            self._key = Ed25519PrivateKey.from_private_bytes(_read(key_file.read_text().strip()))
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise InvalidInput(f"{key_file} holds no key ({error}); make one with: headrace models keygen") from error
        self.public_key = _written(self._key.public_key().public_bytes_raw())

    def sign(self, store: ObjectStore, manifest: Manifest) -> None:
        """Put a signature beside a version's manifest; the same key signs a version once."""
        store.put_new(_path(manifest, self.public_key), self._key.sign(_statement(manifest)))


def verify(store: ObjectStore, manifest: Manifest, signers: Sequence[str]) -> None:
    """Check that one of these public keys has signed a version.

    Raises:
        ModelFilesError: if none has.
    """
    for signer in signers:
        signature = store.get(_path(manifest, signer))
        if signature is not None and _is_signed(signer, signature, manifest):
            return
    raise ModelFilesError(
        f"{manifest.ref} is not signed by any of the {len(signers)} trusted signers; look at it, and if it may run: "
        f"headrace models sign {manifest.ref} --key FILE"
    )


def _is_signed(signer: str, signature: bytes, manifest: Manifest) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(_read(signer)).verify(signature, _statement(manifest))
    except InvalidSignature:
        return False
    return True


def _statement(manifest: Manifest) -> bytes:
    # As it was written: fields that a later release knows, and this version had not, were never signed.
    return _PURPOSE + canonical_json(manifest.model_dump(mode="json", exclude_unset=True))


def _path(manifest: Manifest, public_key: str) -> str:
    name = _read(public_key).hex()
    return f"models/{manifest.name}/versions/{manifest.version:08d}/signatures/{name}"


def _written(raw: bytes) -> str:
    return _KIND + base64.b64encode(raw).decode()


def _read(text: str) -> bytes:
    if not text.startswith(_KIND):
        raise ValueError(f"it does not begin with {_KIND}")
    try:
        return base64.b64decode(text.removeprefix(_KIND), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
