"""ReleaseLog: the traffic of every model, as an append-only log of whole tables in the object store.

An entry is written if absent under the next number; who loses the number looks again and tries once more. So there is
one order of releases, whoever makes them, and going back is another entry.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from pydantic import ValidationError

from headrace.errors import InvalidInput, ModelNotFound
from registry.manifest import canonical_json
from registry.object_store import ObjectStore
from registry.provenance import user_name
from registry.release import Release
from registry.traffic import Traffic

log = logging.getLogger(__name__)

#: From the table in force (None before the first release) to the one that is wanted.
Change = Callable[[Traffic | None], Traffic]


class ReleaseLog:
    """The logs of all models in one store. Safe to share between threads."""

    def __init__(self, *, store: ObjectStore) -> None:
        self._store = store
        self._heads: dict[str, Release] = {}

    def heads(self) -> dict[str, Release]:
        """The release in force of each model that has one, by name."""
        heads = {name: self._head(name)[1] for name in self._store.names("models")}
        return {name: release for name, release in heads.items() if release}

    def entries(self, name: str) -> list[Release]:
        """All releases of a model, oldest first; damaged ones are left out.

        Raises:
            ModelNotFound: if it has none.
        """
        seqs = [file.removesuffix(".json") for file in self._store.names_after(f"models/{name}/releases", "")]
        found = [self._read(name, int(seq)) for seq in seqs]
        releases = [release for release in found if release is not None]
        if not releases:
            raise ModelNotFound(f"'{name}' was never released; `headrace models ls` lists what is")
        return releases

    def append(self, name: str, change: Change, *, why: str, by: str = "") -> Release:
        """Put another table in force; answers the one that is in force if the change changes nothing.

        Raises:
            InvalidInput: whatever the change says against the table that it finds.
        """
        return self._append(name, lambda head: (change(head.traffic if head else None), None), why=why, by=by)

    def roll_back(self, name: str, *, to: int | None = None, why: str = "", by: str = "") -> Release:
        """Put an earlier table in force again: that of entry `to`, else the last that was another one.

        Rolled back again, it goes on to the one before that.

        Raises:
            ModelNotFound: if the model was never released.
            InvalidInput: if there is no such entry, or none to go back to.
        """

        def earlier(head: Release | None) -> tuple[Traffic, int]:
            entry = _entry_to_restore(self.entries(name), head, to)
            return entry.traffic, entry.seq

        return self._append(name, earlier, why=why or "rolled back", by=by)

    def _append(
        self, name: str, change: Callable[[Release | None], tuple[Traffic, int | None]], *, why: str, by: str
    ) -> Release:
        while True:
            last_seq, head = self._head(name)
            wanted, restores = change(head)
            if head is not None and head.traffic == wanted:
                return head
            release = Release(
                seq=last_seq + 1,
                model=name,
                routes=dict(wanted.routes),
                aliases=dict(wanted.aliases),
                canary=wanted.canary,
                shadows=dict(wanted.shadows),
                restores=restores,
                by=by or user_name(),
                why=why,
                at=datetime.now(UTC).isoformat(timespec="seconds"),
            )
            if self._store.put_new(_path(name, release.seq), canonical_json(release.document())):
                return release

    def _head(self, name: str) -> tuple[int, Release | None]:
        """The last number of a model's log, and the release in force."""
        known = self._heads.get(name)
        last_known = f"{known.seq:08d}.json" if known else ""
        later = self._store.names_after(f"models/{name}/releases", last_known)
        if not later:
            return (known.seq if known else 0), known
        last_seq = int(later[-1].removesuffix(".json"))
        if (release := self._read(name, last_seq)) is not None:
            self._heads[name] = release
        return last_seq, self._heads.get(name)

    def _read(self, name: str, seq: int) -> Release | None:
        body = self._store.get(_path(name, seq))
        try:
            return None if body is None else Release.model_validate_json(body)
        except ValidationError:
            log.exception("release %s of %s is damaged; the one before stays", seq, name)
            return None


def _entry_to_restore(entries: list[Release], head: Release | None, to: int | None) -> Release:
    if to is not None:
        found = next((entry for entry in entries if entry.seq == to), None)
        if found is None:
            raise InvalidInput(f"there is no release {to}; there are {', '.join(str(entry.seq) for entry in entries)}")
        return found
    # An entry that restored an older one stands where that one stands.
    before = (head.restores or head.seq) if head else 0
    for entry in reversed(entries):
        if entry.seq < before and head is not None and entry.traffic != head.traffic:
            return entry
    raise InvalidInput("there is no earlier release with another traffic to go back to")


def _path(name: str, seq: int) -> str:
    return f"models/{name}/releases/{seq:08d}.json"
