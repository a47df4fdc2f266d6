"""PreemptionWatch: a thread that looks for a notice, so that nobody's loop waits for a cloud's answer."""

import logging
import threading
from collections.abc import Callable

from workers.preemption.notice import Notice
from workers.preemption.sources import Source

log = logging.getLogger("headrace.preemption")

#: What giving everything back may take. A notice that leaves less, even nothing, is no reason to end before: clouds
#: announce the earliest moment, and what is not given back waits until its lease runs out.
_LEAST_S = 3.0


class PreemptionWatch:
    """Looks until it finds one, through all that goes wrong; then sees to it that the process ends in time.

    Args:
        source: where to look.
        grace_s: within which the process has to be gone, if the notice leaves as much.
        on_notice: told once, from the thread, with the seconds that are left.
        on_overdue: called when those are over and the process still runs.
        least_s: how long the process may go on after any notice.
    """

    def __init__(
        self,
        *,
        source: Source,
        grace_s: float,
        on_notice: Callable[[float], None],
        on_overdue: Callable[[], None],
        least_s: float = _LEAST_S,
    ) -> None:
        self._source = source
        self._grace_s = grace_s
        self._on_notice = on_notice
        self._on_overdue = on_overdue
        self._least_s = least_s
        self._ended = threading.Event()
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name="headrace-preemption", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Look no more. What a notice began goes on."""
        self._ended.set()

    def _run(self) -> None:
        while (notice := self._look()) is None:
            if self._ended.wait(self._source.every_s):
                return
        left_s = min(notice.left_s, self._grace_s)
        log.warning("this machine is taken away (%s): the worker leaves within %.0f s", notice.what, left_s)
        self._on_notice(left_s)
        threading.Event().wait(max(left_s, self._least_s))
        log.error("the worker has not ended in time")
        self._on_overdue()

    def _look(self) -> Notice | None:
        try:
            notice = self._source.look()
        except Exception as error:  # noqa: BLE001 - whatever a cloud answers, it may answer better the next time
            self._failures += 1
            say = log.warning if self._failures == 1 else log.debug
            say("no notice can be seen, looking again every %g s: %s", self._source.every_s, error)
            return None
        self._failures = 0
        return notice
