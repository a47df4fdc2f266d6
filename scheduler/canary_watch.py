"""CanaryWatch: takes a canary back that fails more often than what it is to replace, and says why in the release log.

It works in a thread of the leading scheduler with a connection of its own: an object store may take its time, and the
lead must not wait for it.
"""

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

from headrace.errors import HeadraceError, InvalidInput
from headrace.groups import group_of
from headrace.model_ref import ModelRef
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from registry.canary_test import CanaryTest, Ended
from registry.registry import Registry
from registry.release import Release

log = logging.getLogger("headrace.scheduler")


class _Watched(NamedTuple):
    """A canary under test, and what the versions had counted when it began."""

    seq: int
    others_before: Ended
    canary_before: Ended
    test: CanaryTest


class CanaryWatch:
    """Compares each canary with the versions beside it.

    Args:
        registry: whose releases are watched.
        connection: reads what ended, by version.
        store: of the cell.
        false_alarm: probability that a canary is taken back that is no worse.
    """

    def __init__(self, *, registry: Registry, connection: SyncRedis, store: JobStore, false_alarm: float) -> None:
        self._registry = registry
        self._connection = connection
        self._store = store
        self._false_alarm = false_alarm
        self._watched: dict[str, _Watched] = {}

    def step(self) -> None:
        """Look at each canary once.

        Raises:
            HeadraceError: if Redis or the registry does not answer.
        """
        releases = self._registry.releases()
        canaries = {name: release for name, release in releases.items() if release.canary is not None}
        self._watched = {name: watched for name, watched in self._watched.items() if name in canaries}
        for release in canaries.values():
            self._look_at(release)

    def _look_at(self, release: Release) -> None:
        others, canary = self._ended(release)
        watched = self._watched.get(release.model)
        if watched is None or watched.seq != release.seq:
            test = CanaryTest(false_alarm=self._false_alarm)
            self._watched[release.model] = _Watched(release.seq, others, canary, test)
            return
        watched.test.observe(_since(others, watched.others_before), _since(canary, watched.canary_before))
        if watched.test.is_worse:
            self._take_back(release, watched.test)

    def _take_back(self, release: Release, test: CanaryTest) -> None:
        ref = ModelRef(release.model, release.canary or 0)
        why = (
            f"taken back: {_said(test.canary)} failed against {_said(test.others)} of the others,"
            f" {test.evidence:.3g} times as likely if it is worse"
        )
        try:
            self._registry.withdraw(ref, why=why, by="scheduler")
        except InvalidInput as error:  # somebody was faster: promoted it, or took it back
            log.info("canary %s is none any more: %s", ref, error)
        else:
            log.warning("canary %s %s", ref, why)
        self._watched.pop(release.model, None)

    def _ended(self, release: Release) -> tuple[Ended, Ended]:
        """What has ended of the others that get traffic, and of the canary."""
        shares = release.traffic.shares
        ended = {version: self._counted(ModelRef(release.model, version)) for version in shares}
        others = [counts for version, counts in ended.items() if version != release.canary]
        both = Ended(sum(counts.jobs for counts in others), sum(counts.failed for counts in others))
        return both, ended.get(release.canary or 0, Ended())

    def _counted(self, ref: ModelRef) -> Ended:
        counts = [self._connection.run(self._store.counts(group_of(ref, tier))) for tier in Tier]
        failed = sum(count.failed for count in counts)
        # Those that took their worker along have ended without a worker's word.
        return Ended(max(sum(count.ended for count in counts), failed), failed)


def _since(now: Ended, before: Ended) -> Ended:
    return Ended(max(now.jobs - before.jobs, 0), max(now.failed - before.failed, 0))


def _said(ended: Ended) -> str:
    return f"{ended.failed} of {ended.jobs} jobs ({100 * ended.rate:.1f} %)"


class CanaryThread:
    """Steps a watch every `poll_s` while this process leads."""

    def __init__(self, *, watch: CanaryWatch, is_leading: Callable[[], bool], poll_s: float) -> None:
        self._watch = watch
        self._is_leading = is_leading
        self._poll_s = poll_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="headrace-canaries", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End soon; nobody waits for it."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(self._poll_s):
            try:
                if self._is_leading():
                    self._watch.step()
            except HeadraceError as error:
                log.warning("canaries cannot be watched: %s", error)
            except Exception:
                log.exception("the watch over canaries goes on after an error")
