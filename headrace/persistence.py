"""How a client keeps at it: retries that spread out, and waits that outlive restarts of the API. No I/O.

A *plan* is a generator that yields what to do next (`Send` a call, `Pause`) and is told what came of it (`advance`).
`Client` and `AsyncClient` differ only in how they do it.
"""

import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeAlias, TypeVar

from headrace import change_calls, job_calls, operator_calls
from headrace.errors import HeadraceError, JobExpired, Unavailable, WaitTimeout
from headrace.http_answer import read_answer
from headrace.http_call import Answer, HttpCall
from headrace.job_record import JobRecord, JobRecords

T = TypeVar("T")

#: One long poll; below the API's own limit, and below what proxies cut off.
POLL_S = 30.0
#: Jobs that the API lists at once.
MOST_LISTED = 500
#: Jobs that it cancels at once.
MOST_CANCELED = 10_000
#: How jobs may be that were called off with their queue.
_ENDS = ("canceled", "canceling", "ended")


@dataclass(frozen=True)
class Send:
    """Carry out this call; tell the plan its answer, or throw Unavailable into it if none came."""

    call: HttpCall[Any]


@dataclass(frozen=True)
class Pause:
    """Do nothing for so long."""

    seconds: float


@dataclass(frozen=True)
class Done(Generic[T]):
    """The plan has come to its end with this."""

    value: T


Plan: TypeAlias = Generator[Send | Pause, Answer, T]


@dataclass(frozen=True, kw_only=True)
class Patience:
    """When to give up, and how long to pause before the next attempt: full jitter over a doubling limit."""

    #: How long one call may go without an answer that is one.
    give_up_s: float = 30.0
    first_pause_s: float = 0.1
    longest_pause_s: float = 5.0
    now: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random

    def pause_s(self, attempt: int, retry_after_s: float | None) -> float:
        """How long to pause after the `attempt`-th failure, not before what the server asked for."""
        limit = min(self.first_pause_s * 2.0 ** min(attempt, 30), self.longest_pause_s)
        return (retry_after_s or 0.0) + self.jitter() * limit


def persist(call: HttpCall[T], patience: Patience) -> Plan[T]:
    """Send a call until it is answered by anything but "not now".

    Raises:
        HeadraceError: what the API refused it with, or Unavailable once patience is at its end.
    """
    give_up_at = patience.now() + patience.give_up_s + call.wait_s
    attempt = 0
    while True:
        try:
            return read_answer(call, (yield Send(call)))
        except HeadraceError as error:
            pause_s = patience.pause_s(attempt, error.retry_after_s)
            if not error.retryable or patience.now() + pause_s > give_up_at:
                raise
            attempt += 1
            yield Pause(pause_s)


def wait(job_id: str, patience: Patience, *, timeout_s: float | None) -> Plan[JobRecord]:
    """Wait until a job has ended, however often the API is restarted meanwhile.

    Raises:
        WaitTimeout: if it has not ended in time; the job goes on.
    """
    return (yield from _finish(None, job_id, patience, deadline_of(patience, timeout_s)))


def change(job_id: str, known: JobRecord | None, patience: Patience, *, deadline: float) -> Plan[JobRecord]:
    """Wait until a job is another than this record of it, however often the API is restarted; without one only look.

    Raises:
        WaitTimeout: if nothing has changed by then, a time of the clock that `patience` has.
    """
    # No record has that tag.
    tag = known.tag if known else '"none"'
    while True:
        left_s = deadline - patience.now()
        if left_s <= 0 and known is not None:
            raise WaitTimeout(f"not ended in time: {known.explanation()}")
        poll = job_calls.changed(job_id, tag=tag, wait_s=max(0.001, min(left_s, POLL_S)))
        patient = replace(patience, give_up_s=min(patience.give_up_s, max(left_s, 0)))
        if (record := (yield from persist(poll, patient))) is not None:
            return record


def jobs(filters: Mapping[str, str], patience: Patience, *, limit: int) -> Plan[JobRecords]:
    """Go through pages until `limit` jobs were found or there are no more; a page may be short before that."""
    found = JobRecords()
    cursor = None
    while True:
        left = limit - len(found)
        page = yield from persist(job_calls.jobs(filters, limit=min(left, MOST_LISTED), cursor=cursor), patience)
        found += page.records[:left]
        cursor = page.next
        if cursor is None or len(found) == limit:
            return found


def cancel_many(filters: Mapping[str, str], patience: Patience, *, confirm: int | None) -> Plan[dict[str, int]]:
    """Call off all that these filters mean, by as many requests as it takes; without `confirm` only count it.

    Raises:
        Conflict: if it is more jobs than were confirmed.
    """
    counts = dict.fromkeys(("matched", "canceled", "canceling", "ended"), 0)
    cursor = None
    while True:
        left = None if confirm is None else min(confirm - counts["matched"], MOST_CANCELED)
        page = yield from persist(change_calls.cancel_many(filters, confirm=left, cursor=cursor), patience)
        counts = {name: count + page[name] for name, count in counts.items()}
        cursor = page["next"]
        if cursor is None:
            return counts


def purge_queue(name: str, patience: Patience, *, confirm: int | None) -> Plan[dict[str, int]]:
    """Cancel all that waits in a queue, by as many requests as it takes; without `confirm` only count it.

    Raises:
        Conflict: if it is more jobs than were confirmed, from the beginning on or meanwhile.
    """
    page = yield from persist(operator_calls.purge_queue(name, confirm=confirm), patience)
    counts = {count: page[count] for count in ("matched", *_ENDS)}
    while page["more"] and confirm is not None:
        left = max(0, confirm - sum(counts[end] for end in _ENDS))
        page = yield from persist(operator_calls.purge_queue(name, confirm=left), patience)
        counts |= {end: counts[end] + page[end] for end in _ENDS}
    return counts


def erase(job_id: str, patience: Patience) -> Plan[JobRecord | None]:
    """Delete a job; one that is gone already is what was asked for: the answer that said so may have been lost."""
    try:
        return (yield from persist(change_calls.erase(job_id), patience))
    except JobExpired:
        return None


def run(call: HttpCall[JobRecord], patience: Patience, *, timeout_s: float | None) -> Plan[JobRecord]:
    """Submit a job by a call that waits, and go on waiting until it has ended.

    Raises:
        WaitTimeout: if it has not ended in time; the job goes on.
    """
    deadline = deadline_of(patience, timeout_s)
    record = yield from persist(call, patience)
    return (yield from _finish(record, record.id, patience, deadline))


def _finish(record: JobRecord | None, job_id: str, patience: Patience, deadline: float) -> Plan[JobRecord]:
    while record is None or not record.is_terminal:
        left_s = deadline - patience.now()
        if left_s <= 0 and record is not None:
            raise WaitTimeout(f"not ended in time: {record.explanation()}")
        poll = job_calls.get(job_id, wait_s=max(0.001, min(left_s, POLL_S)))
        record = yield from persist(poll, replace(patience, give_up_s=min(patience.give_up_s, max(left_s, 0))))
    return record


def advance(plan: Plan[T], came: Answer | Unavailable | None) -> Send | Pause | Done[T]:
    """Tell a plan what came of its last step (None: it paused, or has not begun) and learn the next one."""
    try:
        if isinstance(came, Unavailable):
            return plan.throw(came)
        return next(plan) if came is None else plan.send(came)
    except StopIteration as end:
        return Done(end.value)


def first_wait_s(timeout_s: float | None) -> float:
    """How long a submission that is waited for lets the API hold its answer back."""
    return POLL_S if timeout_s is None else min(timeout_s, POLL_S)


def deadline_of(patience: Patience, timeout_s: float | None) -> float:
    """When the time is over, by the clock that `patience` has."""
    return float("inf") if timeout_s is None else patience.now() + timeout_s


def unreachable(url: str, error: Exception) -> Unavailable:
    """What no answer at all amounts to."""
    why = str(error) or type(error).__name__
    return Unavailable(
        f"the API at {url} cannot be reached ({why}); is `headrace up` running on this folder? HEADRACE_URL names an"
        " API elsewhere"
    )
