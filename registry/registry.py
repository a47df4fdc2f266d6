"""Registry: push a model, say which versions exist and which serve, bring a version's files."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from headrace.errors import InvalidModel, ModelFilesError, ModelNotFound
from headrace.failpoints import failpoint
from headrace.model_ref import ModelRef
from registry import cache
from registry.description import SourceFile, describe, read_files
from registry.file_check import Content, check_files
from registry.manifest import Manifest, canonical_json
from registry.object_store import CHUNK_BYTES, ObjectStore
from registry.progress import Progress
from registry.provenance import provenance_of
from registry.release import Release
from registry.release_log import ReleaseLog
from registry.signing import Signer, verify
from registry.traffic import Traffic, promoted, with_alias, with_canary, with_shadow, withdrawn
from registry.verified import Verified

_MANIFEST = "manifest.json"


class Pushed(NamedTuple):
    """Answer to a push; `is_new` is False if the newest version had this very content already."""

    manifest: Manifest
    is_new: bool


class Registry:
    """The models in one object store. Safe to share between threads: what it remembers is immutable or verified.

    Args:
        url: of the store.
        signers: public keys, one of which must have signed a version; without any, none need be signed.
    """

    def __init__(self, *, url: str, signers: Sequence[str] = ()) -> None:
        self._store = ObjectStore(url=url)
        self._signers = tuple(signers)
        self._manifests: dict[ModelRef, Manifest] = {}
        self._verified = Verified()
        #: Which versions serve, since ever.
        self.log = ReleaseLog(store=self._store)

    def push(
        self,
        folder: Path,
        *,
        name: str,
        entry: str | None = None,
        extra: Mapping[str, Path] | None = None,
        release: bool = True,
        trusted: bool = False,
        signer: Signer | None = None,
        progress: Progress | None = None,
        provenance: Mapping[str, str] | None = None,
    ) -> Pushed:
        """Publish a folder as the next version, and with `release` send all traffic to it.

        Pushing what the newest version holds makes no new one, but mends files that the store has lost. `trusted` lets
        files through that are code besides the source: pickles, compiled programs. `signer` signs the version.
        `progress` watches the upload; what the store has already is not sent again. `provenance` joins what is known of
        where the version comes from.

        Raises:
            InvalidModel: if the folder holds no model that can be served.
        """
        files = read_files(folder, extra)
        upload = partial(self._upload, files, progress or Progress())
        pushed = self._unchanged_version(name, files, entry, upload)
        if pushed is None:
            draft = describe(folder, files, name=name, entry=entry, trusted=trusted)
            draft = draft.model_copy(update={"provenance": provenance_of(folder, provenance or {})})
            pushed = self._publish(draft, upload)
        failpoint("registry.manifest_put")
        if signer is not None:
            self.sign(pushed.manifest.ref, signer)
        if release:
            self.release(pushed.manifest.ref, why="pushed")
        return pushed

    def release(self, ref: ModelRef, *, why: str = "") -> Release:
        """Send all traffic of a model to one of its versions; a new entry of its log unless that is so already.

        Raises:
            ModelNotFound: if there is no such version.
        """
        self.manifest(ref)
        return self.log.append(ref.name, lambda table: promoted(table or Traffic({}, {}), ref.version), why=why)

    def canary(self, ref: ModelRef, *, percent: int, why: str = "") -> Release:
        """Send so many of a hundred new jobs to a version, the rest where they went.

        Raises:
            ModelNotFound: if there is no such version.
            InvalidInput: if it cannot be a canary.
        """
        self.manifest(ref)
        return self.log.append(
            ref.name,
            lambda table: with_canary(table or Traffic({}, {}), ref.version, percent=percent),
            why=why or f"canary of {percent} %",
        )

    def withdraw(self, ref: ModelRef, *, why: str = "", by: str = "") -> Release:
        """Send no more new jobs to a version; the others share its part.

        Raises:
            InvalidInput: if it gets none, or all of them.
        """
        return self.log.append(
            ref.name, lambda table: withdrawn(table or Traffic({}, {}), ref.version), why=why or "withdrawn", by=by
        )

    def shadow(self, ref: ModelRef, *, percent: int, why: str = "") -> Release:
        """Send copies of so many of a hundred new jobs to a version, whose results nobody sees; 0: none any more.

        Raises:
            ModelNotFound: if there is no such version, or the model was never released.
            InvalidInput: if it gets jobs of its own.
        """
        self.manifest(ref)

        def change(table: Traffic | None) -> Traffic:
            if table is None:
                raise ModelNotFound(f"'{ref.name}' was never released, so there are no jobs to copy")
            return with_shadow(table, ref.version, percent=percent)

        return self.log.append(ref.name, change, why=why or f"shadow of {percent} %")

    def alias(self, name: str, alias: str, version: int | None, *, why: str = "") -> Release:
        """Let `name@alias` mean a version, or nothing any more.

        Raises:
            ModelNotFound: if there is no such version, or the model was never released.
            InvalidInput: if the alias cannot be called so.
        """
        if version is not None:
            self.manifest(ModelRef(name, version))

        def change(table: Traffic | None) -> Traffic:
            if table is None:
                raise ModelNotFound(f"'{name}' was never released, so it has no aliases; push or release it first")
            return with_alias(table, alias, version)

        return self.log.append(name, change, why=why or f"@{alias}")

    def manifest(self, ref: ModelRef) -> Manifest:
        """What a version is.

        Raises:
            ModelNotFound: if there is no such version.
            ModelFilesError: if its manifest is damaged, or not signed by whom it must be.
        """
        if ref not in self._manifests:
            manifest = self._read_manifest(ref)
            if self._signers:
                verify(self._store, manifest, self._signers)
            self._manifests[ref] = manifest
        return self._manifests[ref]

    def sign(self, ref: ModelRef, signer: Signer) -> None:
        """Sign a version, as it lies in the store.

        Raises:
            ModelNotFound: if there is no such version.
            ModelFilesError: if its manifest is damaged.
        """
        signer.sign(self._store, self._read_manifest(ref))

    def versions(self, name: str) -> list[int]:
        """Numbers of a model's versions, rising; none if the model is unknown."""
        paths = (path.split("/") for path in self._store.paths(f"models/{name}/versions"))
        # A folder without a manifest is a version that somebody is about to write.
        return sorted(int(folder) for *_, folder, file in paths if file == _MANIFEST and folder.isdecimal())

    def releases(self) -> dict[str, Release]:
        """The release in force of each model that has one, by name."""
        return self.log.heads()

    def fetch(self, ref: ModelRef, cache_dir: Path, progress: Progress | None = None) -> Path:
        """Answer the folder with a version's verified files, below `cache_dir`; goes on where an earlier try broke off.

        Raises:
            ModelNotFound: if there is no such version.
            ModelFilesError: if a file is missing or not what the manifest says; it names file, expected and actual.
            InvalidModel: if a file is one that no version may have (`registry.file_check`).
            StoreUnavailable: if the store does not answer.
        """
        manifest = self.manifest(ref)
        folder = cache.fetch(self._store, manifest, cache_dir, verified=self._verified, progress=progress)
        check_files((Content(file.path, folder / file.path) for file in manifest.files), trusted=manifest.trusted)
        return folder

    def _publish(self, draft: Manifest, upload: Callable[[], None]) -> Pushed:
        """Files first, manifest last: a version is there entirely or not at all. Who loses a number takes the next."""
        name = draft.name
        upload()
        failpoint("registry.files_put")
        while True:
            newest = self._newest_version(name)
            if newest and newest.digest == draft.digest:
                return Pushed(newest, is_new=False)
            version = max(self.versions(name), default=0) + 1
            manifest = draft.model_copy(update={"version": version, "created": _now()})
            body = canonical_json(manifest.model_dump(mode="json"))
            if self._store.put_new(_manifest_path(manifest.ref), body):
                return Pushed(manifest, is_new=True)

    def _unchanged_version(
        self, name: str, files: Sequence[SourceFile], entry: str | None, upload: Callable[[], None]
    ) -> Pushed | None:
        """The newest version if it has exactly these files: its source need not be imported again."""
        newest = self._newest_version(name)
        if newest is None or newest.files != tuple(file.entry for file in files):
            return None
        if entry is not None and entry != newest.entry:
            return None
        upload()
        return Pushed(newest, is_new=False)

    def _upload(self, files: Sequence[SourceFile], progress: Progress) -> None:
        missing = [file for file in files if self._store.size_bytes(_object(file)) != file.entry.size_bytes]
        progress.begin(sum(file.entry.size_bytes for file in missing))
        for file in missing:
            self._store.put_stream(_object(file), _unchanged(file, progress))

    def _newest_version(self, name: str) -> Manifest | None:
        versions = self.versions(name)
        try:
            return self.manifest(ModelRef(name, versions[-1])) if versions else None
        except ModelFilesError:  # a damaged version must not keep its successor out
            return None

    def _read_manifest(self, ref: ModelRef) -> Manifest:
        body = self._store.get(_manifest_path(ref))
        if body is None:
            raise ModelNotFound(f"there is no model {ref}; its versions are {self.versions(ref.name) or 'none'}")
        try:
            manifest = Manifest.model_validate_json(body)
        except ValidationError as error:
            raise ModelFilesError(f"{ref}: its manifest {_manifest_path(ref)} is damaged: {error}") from error
        if manifest.ref != ref:
            raise ModelFilesError(f"{ref}: its manifest says that it is {manifest.ref}")
        return manifest


def _manifest_path(ref: ModelRef) -> str:
    return f"models/{ref.name}/versions/{ref.version:08d}/{_MANIFEST}"


def _object(file: SourceFile) -> str:
    return cache.object_path(file.entry.sha256)


def _unchanged(file: SourceFile, progress: Progress) -> Iterator[bytes]:
    """Content of a file, ending in an error, and so in no object, if it is not what was described."""
    digest = hashlib.sha256()
    with file.source.open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            digest.update(chunk)
            yield chunk
            progress.moved(len(chunk))
    if digest.hexdigest() != file.entry.sha256:
        raise InvalidModel(f"{file.source} changed while it was pushed; push again")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
