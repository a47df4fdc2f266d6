"""Committer: brings results back. What has no answer yet is kept, and sent again after a reconnect."""

import itertools
import logging
from collections.abc import Callable
from typing import NamedTuple

from headrace.failpoints import failpoint
from headrace.logs import about
from headrace.store import JobStore
from headrace.store_work import CommitAnswer, Outcome
from workers.loop import Loop
from workers.wire import Wire

log = logging.getLogger("headrace.committer")

_RETRY_S = 1.0


class _Commit(NamedTuple):
    outcomes: list[Outcome]
    ran_ms: float


def _name_refused(outcomes: list[Outcome], answers: list[CommitAnswer]) -> None:
    for outcome, answer in zip(outcomes, answers, strict=False):
        if answer is CommitAnswer.REFUSED:
            member = outcome.lease.member
            log.info("the result of job %s was refused", member, extra=about(member))


class Committer:
    """Commits whole batches.

    Args:
        result_ttl_s: how long results are kept.
    """

    def __init__(self, *, wire: Wire, store: JobStore, result_ttl_s: int) -> None:
        self._wire = wire
        self._store = store
        self._result_ttl_s = result_ttl_s
        self._numbers = itertools.count()
        self._unanswered: dict[int, _Commit] = {}
        self._loop: Loop | None = None
        self.refused = 0
        self.resent = 0

    def attach(self, loop: Loop) -> None:
        """Go on with this loop; retries that the one before had in mind are made now."""
        self._loop = loop
        self.resend()

    @property
    def is_empty(self) -> bool:
        """True when every result has been answered for."""
        return not self._unanswered

    def commit(self, outcomes: list[Outcome], *, took_s: float) -> None:
        """Bring back how the jobs of a batch ended."""
        failpoint("worker.before_commit")
        number = next(self._numbers)
        self._unanswered[number] = _Commit(outcomes, round(took_s * 1000, 3))
        self._send(number)

    def resend(self) -> None:
        """The connection is new: send everything again that was not answered."""
        for number in list(self._unanswered):
            self.resent += 1
            self._send(number)

    def _send(self, number: int) -> None:
        commit = self._unanswered.get(number)
        if commit is None or not self._wire.is_open:
            return
        op = self._store.commit(commit.outcomes, ran_ms=commit.ran_ms, result_ttl_s=self._result_ttl_s)
        self._wire.send(op, self._answered(number), self._failed(number))

    def _answered(self, number: int) -> Callable[[list[CommitAnswer]], None]:
        def answered(answers: list[CommitAnswer]) -> None:
            failpoint("worker.committed")
            commit = self._unanswered.pop(number, None)
            refused = answers.count(CommitAnswer.REFUSED)
            if refused:
                self.refused += refused
                log.warning("%s of %s results refused: canceled, or the lease was lost", refused, len(answers))
                _name_refused(commit.outcomes if commit else [], answers)

        return answered

    def _failed(self, number: int) -> Callable[[Exception], None]:
        def failed(error: Exception) -> None:
            log.error("a commit failed, will be sent again: %s", error)
            if self._loop is not None:
                self._loop.call_later(_RETRY_S, lambda: self._send(number))

        return failed
