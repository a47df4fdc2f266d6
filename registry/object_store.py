"""ObjectStore: the few things the registry asks of a file system or bucket, over obstore.

Objects are immutable: each is written if absent, never changed. Local disk, S3, GCS and Azure all do this atomically.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import MemoryStore, from_url

from headrace.errors import SettingsError, StoreUnavailable

#: Big enough that a call costs little beside its copy, small enough that a fetch needs no memory to speak of.
CHUNK_BYTES = 4 * 1024 * 1024
#: Parts of 5 MiB that are on their way at once: more would only lie in memory where the store is slow.
_PARTS_AT_ONCE = 3


class ObjectStore:
    """A store of immutable objects at `url`: file:// (made if missing), memory://, s3://, gs://, az://.

    Every method raises StoreUnavailable if the store does not answer.
    """

    def __init__(self, *, url: str) -> None:
        self.url = url
        #: Local disk and memory are known to keep the first of two writers; a service has to show it once.
        self._is_proved = urlsplit(url).scheme in ("file", "memory")
        try:
            self._store = MemoryStore() if url.startswith("memory:") else self._open(url)
        except (BaseError, OSError, ValueError) as error:
            raise SettingsError(f"the registry '{url}' cannot be opened: {_first_line(error)}") from error

    @staticmethod
    def _open(url: str) -> obstore.store.ObjectStore:
        return from_url(url, mkdir=True) if urlsplit(url).scheme == "file" else from_url(url)

    def put_new(self, path: str, body: bytes) -> bool:
        """Write a small object; False if there is one already.

        Raises:
            SettingsError: if the store lets a second writer replace the first; nothing was written then.
        """
        if not self._is_proved:
            self.prove()
        return self._put_new(path, body)

    def prove(self) -> None:
        """Make sure, with an object that is removed again, that the first of two writers wins: publishers rely on it.

        Raises:
            SettingsError: if the second one does.
        """
        path = f"probes/{uuid.uuid4().hex}"
        try:
            first, second = self._put_new(path, b"1"), self._put_new(path, b"2")
            kept = self.get(path)
        finally:
            self.remove(path)
        if (first, second, kept) != (True, False, b"1"):
            raise SettingsError(
                f"the registry '{self.url}' lets a second writer replace the first; use a store with conditional"
                " writes: local disk, S3, GCS, Azure"
            )
        self._is_proved = True

    def _put_new(self, path: str, body: bytes) -> bool:
        with self._asked():
            try:
                obstore.put(self._store, path, body, mode="create")
            except AlreadyExistsError:
                return False
            return True

    def remove(self, path: str) -> None:
        """Remove an object, if there is one."""
        with self._asked(), suppress(FileNotFoundError):
            obstore.delete(self._store, path)

    def put_stream(self, path: str, chunks: Iterator[bytes]) -> None:
        """Write a large object, seen by nobody before the last chunk; an exception from `chunks` leaves nothing."""
        with self._asked():
            obstore.put(self._store, path, chunks, max_concurrency=_PARTS_AT_ONCE)

    def get(self, path: str) -> bytes | None:
        """Read a small object; None if there is none."""
        with self._asked():
            try:
                return bytes(obstore.get(self._store, path).bytes())
            except FileNotFoundError:
                return None

    def stream(self, path: str, *, offset: int = 0) -> Iterator[bytes]:
        """Read a large object in chunks, from byte `offset` on, which must lie before its end.

        Raises:
            FileNotFoundError: if there is none.
        """
        with self._asked():
            found = obstore.get(self._store, path, options={"range": {"offset": offset}} if offset else None)
            for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)

    def size_bytes(self, path: str) -> int | None:
        """Size of an object; None if there is none."""
        with self._asked():
            try:
                return obstore.head(self._store, path)["size"]
            except FileNotFoundError:
                return None

    def names(self, folder: str) -> list[str]:
        """What lies directly in a folder, sorted: last parts of paths."""
        with self._asked():
            found = obstore.list_with_delimiter(self._store, folder)
        paths = [*found["common_prefixes"], *(item["path"] for item in found["objects"])]
        return sorted(path.rstrip("/").rpartition("/")[2] for path in paths)

    def paths(self, folder: str) -> list[str]:
        """Paths of all objects below a folder, sorted."""
        with self._asked():
            return sorted(item["path"] for batch in obstore.list(self._store, f"{folder}/") for item in batch)

    def names_after(self, folder: str, last: str) -> list[str]:
        """Names of the objects of a folder that sort after `last`."""
        with self._asked():
            batches = obstore.list(self._store, f"{folder}/", offset=f"{folder}/{last}")
            return sorted(item["path"].rpartition("/")[2] for batch in batches for item in batch)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        """Say which store it was that failed."""
        try:
            yield
        except BaseError as error:
            raise StoreUnavailable(f"the registry '{self.url}' does not answer: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """What the library says, without its dump."""
    return str(error).strip().partition("\n")[0]
