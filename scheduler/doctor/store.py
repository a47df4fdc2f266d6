"""The object store of the models: it must write a file only if there is none, and its releases must be readable."""

from obstore.exceptions import BaseError

from headrace.errors import HeadraceError
from registry.object_store import ObjectStore
from registry.registry import Registry
from scheduler.doctor.finding import Finding, fail, ok, warn

_CHECK = "object store"


def look_at_store(url: str) -> list[Finding]:
    """Try the store at `url` with a file that is removed again, and read what is released."""
    try:
        ObjectStore(url=url).prove()
        return [ok(_CHECK, f"{url} keeps the first of two writers"), _releases(Registry(url=url))]
    except (HeadraceError, BaseError, OSError) as error:
        return [fail(_CHECK, f"{url}: {error}", "check HEADRACE_REGISTRY_URL and the rights there")]


def _releases(registry: Registry) -> Finding:
    releases = registry.releases()
    for release in releases.values():
        registry.manifest(release.current)
    if not releases:
        return warn("models", "none is released", "publish one: headrace models push DIR")
    return ok("models", f"{len(releases)} released: {', '.join(str(r.current) for r in releases.values())}")
