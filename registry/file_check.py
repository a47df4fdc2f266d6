"""Files of a version, looked at before anything opens them: what they claim to hold must be believable, and no code.

Only headers and tables of contents are read; nothing is unpacked, nothing is executed. A version is checked when it is
pushed and again by each worker that fetched it, because the store may be written by others.

Formats: safetensors (https://github.com/huggingface/safetensors, section Format), ZIP (APPNOTE 6.3.10, also .pt2, .npz
and torch's .pt), pickle (PEP 3154).
"""

import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import orjson

from headrace.errors import InvalidModel

#: Files of a version.
MAX_FILES = 10_000
#: Of a safetensors header; a tensor takes about 100 bytes of it.
_MAX_HEADER_BYTES = 16 << 20
_MAX_TENSORS = 50_000
#: Of an archive: entries, bytes unpacked, and to how many times its packed size an entry may unpack, if that is large.
_MAX_ENTRIES = 50_000
_MAX_UNPACKED_BYTES = 256 << 30
_MAX_RATIO = 200
_SMALL_BYTES = 1 << 20
_S_IFLNK = 0o120000

_PICKLE_ENDINGS = frozenset({".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle"})
#: How pickles of protocol 2 to 5 begin.
_PICKLE_STARTS = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_NUMPY_START = b"\x93NUMPY"


class Content(NamedTuple):
    """A file: the path that its version gives it, and where it lies now."""

    path: str
    source: Path


def check_files(contents: Iterable[Content], *, trusted: bool) -> None:
    """Refuse a version one of whose files is not what it may be; `trusted` lets pickles through, which are code.

    Raises:
        InvalidModel: naming the file, what is wrong with it and the way out.
    """
    for number, (path, source) in enumerate(contents, 1):
        if number > MAX_FILES:
            raise InvalidModel(f"it has more than {MAX_FILES} files; put small ones into an archive")
        try:
            _check(source, path, trusted=trusted)
        except (OSError, ValueError, struct.error, zipfile.BadZipFile, RecursionError) as error:
            raise InvalidModel(f"'{path}': {error}") from error


def _check(source: Path, path: str, *, trusted: bool) -> None:
    ending = PurePosixPath(path).suffix.lower()
    with source.open("rb") as file:
        start = file.read(16)
    if ending == ".safetensors":
        _check_safetensors(source, start)
    elif ending == ".pt2" and not trusted:
        raise ValueError(_NO_PROGRAM)
    elif start.startswith(b"PK\x03\x04"):
        _check_archive(source, trusted=trusted)
    elif not trusted and (ending in _PICKLE_ENDINGS or start.startswith(_PICKLE_STARTS) or _has_objects(source, start)):
        raise ValueError(_NO_PICKLE)


_NO_PICKLE = (
    "is a pickle, which runs code when it is opened; keep weights in safetensors, or push with --trusted if you would "
    "run whatever it holds"
)

_NO_PROGRAM = "is a compiled program; push with --trusted if you would run whatever it holds"


def _check_safetensors(source: Path, start: bytes) -> None:
    size = source.stat().st_size
    (length,) = struct.unpack_from("<Q", start)
    if length > min(_MAX_HEADER_BYTES, size - 8):
        raise ValueError(
            f"its header claims {length} bytes; the file has {size}, and more than {_MAX_HEADER_BYTES} is no header"
        )
    with source.open("rb") as file:
        file.seek(8)
        header = orjson.loads(file.read(length))
    if not isinstance(header, dict):
        raise ValueError("its header is no table of tensors")
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    if len(tensors) > _MAX_TENSORS:
        raise ValueError(f"it claims {len(tensors)} tensors; more than {_MAX_TENSORS} is no model")
    _check_offsets(tensors, size - 8 - length)


def _check_offsets(tensors: dict[str, Any], data_bytes: int) -> None:
    """Tensors lie side by side and fill the data, as the format demands: nothing hidden, nothing beyond the end."""
    end = 0
    for begin, after, name in sorted(_span(name, entry) for name, entry in tensors.items()):
        if begin != end or after < begin:
            raise ValueError(f"tensor '{name[:80]}' begins at byte {begin}, but the one before ends at {end}")
        end = after
    if end != data_bytes:
        raise ValueError(f"its tensors fill {end} bytes of {data_bytes}; the file is cut off, or hides something")


def _span(name: str, entry: object) -> tuple[int, int, str]:
    match entry:
        case {"data_offsets": [int(begin), int(after)]}:
            return begin, after, name
        case _:
            raise ValueError(f"tensor '{name[:80]}' has no place in the data")


def _check_archive(source: Path, *, trusted: bool) -> None:
    with zipfile.ZipFile(source) as archive:
        entries = archive.infolist()
    if len(entries) > _MAX_ENTRIES:
        raise ValueError(f"an archive of {len(entries)} entries; more than {_MAX_ENTRIES} is no model")
    if (unpacked := sum(entry.file_size for entry in entries)) > _MAX_UNPACKED_BYTES:
        raise ValueError(f"an archive that claims to unpack to {unpacked} bytes")
    for entry in entries:
        _check_entry(entry)
        if not trusted and PurePosixPath(entry.filename).suffix in _PICKLE_ENDINGS:
            raise ValueError(f"its entry '{entry.filename[:80]}' {_NO_PICKLE}")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = PurePosixPath(entry.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in entry.filename:
        raise ValueError(f"its entry '{entry.filename[:80]}' would be unpacked outside of its folder")
    if entry.external_attr >> 16 & 0o170000 == _S_IFLNK:
        raise ValueError(f"its entry '{entry.filename[:80]}' is a link")
    if entry.file_size > max(_SMALL_BYTES, _MAX_RATIO * entry.compress_size):
        packed, unpacked = entry.compress_size, entry.file_size
        raise ValueError(
            f"its entry '{entry.filename[:80]}' unpacks from {packed} bytes to {unpacked}: an archive bomb"
        )


def _has_objects(source: Path, start: bytes) -> bool:
    """Tell whether an array file holds Python objects, which numpy keeps as a pickle."""
    if not start.startswith(_NUMPY_START):
        return False
    # Format 1.0 gives its header's length in two bytes, later ones in four.
    length = struct.unpack_from("<H" if start[6] == 1 else "<I", start, 8)[0]
    with source.open("rb") as file:
        return b"'|O'" in file.read(12 + min(length, _MAX_HEADER_BYTES))
