"""The released models: each is fetched, loaded and tried on its examples as a worker would, in another process."""

import subprocess
from collections.abc import Iterator

import orjson

from headrace.errors import HeadraceError
from headrace.model_ref import ModelRef
from headrace.settings import Settings
from headrace.worker_class import WorkerClass
from headrace.worker_fit import misfit
from registry.cache import version_folder
from registry.cache_room import CacheRoom
from registry.registry import Registry
from scheduler.doctor.finding import Finding, fail, ok
from scheduler.needs_book import NeedsBook
from scheduler.processes import python_module

_NO_CLASS = "compare its device, memory_bytes and labels with worker_classes"
_ADVICE = "`headrace models check DIR` says more; the version before can be released again"


def try_models(settings: Settings) -> Iterator[Finding]:
    """Try the version of each model that gets most jobs, on each device of the classes that serve it."""
    registry = Registry(url=settings.registry_location, signers=settings.signers)
    needs = NeedsBook(registry=registry)
    for name, release in registry.releases().items():
        wanted = needs.of(release.current)
        kinds = [kind for kind in settings.worker_classes.values() if serves(kind, name) and not misfit(kind, wanted)]
        if not kinds:
            yield fail(f"model {release.current}", "no worker class serves it and has what it needs", _NO_CLASS)
        for device in sorted({kind.device for kind in kinds}):
            yield _try(registry, release.current, device, settings)


def serves(kind: WorkerClass, name: str) -> bool:
    """Tell whether a class serves a model."""
    return "*" in kind.models or name in kind.models


def _try(registry: Registry, ref: ModelRef, device: str, settings: Settings) -> Finding:
    check = f"model {ref}"
    room = CacheRoom(cache_dir=settings.model_cache_dir, max_bytes=settings.cache_max_bytes)
    try:
        manifest = registry.manifest(ref)
        # Its files stay as long as this process lives.
        room.hold(version_folder(settings.model_cache_dir, manifest))
        folder, entry = registry.fetch(ref, settings.model_cache_dir), manifest.entry
    except (HeadraceError, OSError) as error:
        return fail(check, f"cannot be fetched: {error}", _ADVICE)
    command = python_module("workers.check", str(folder), "--entry", entry, "--device", device, "--no-timing", "--json")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=settings.load_limit_s, check=False)
    except subprocess.TimeoutExpired:
        return fail(check, f"not loaded on {device} in {settings.load_limit_s:g} s (load_limit_s)", _ADVICE)
    return judge_check(check, device, done.returncode, done.stdout, done.stderr)


def judge_check(check: str, device: str, status: int, out: str, err: str) -> Finding:
    """What is to be said of what `workers.check` said."""
    if status == 0:
        return ok(check, f"loads and batches on {device}")
    try:
        wrong = [finding["detail"] for finding in orjson.loads(out)["findings"] if not finding["ok"]]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        wrong = err.strip().splitlines()[-1:]
    return fail(check, f"on {device}: {'; '.join(wrong) or f'ended with status {status}'}", _ADVICE)
