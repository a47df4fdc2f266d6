"""Gathering: jobs of one tenant that come in the same moment are stored by one call of the script.

A call costs Redis about twice what a job in it does. A request that finds nobody's call under way is not kept waiting:
its call leaves at once. What comes while a call is under way leaves with others of its turn of the event loop, a few
at a time, so that Redis begins while the rest is read.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, TypeAlias

import redis

from headrace.jobs import NewJob
from headrace.store_submissions import Submitted

_NO_MARKS: frozenset[str] = frozenset()
#: So many leave without waiting for the end of the turn.
_ENOUGH = 8

StoreMany: TypeAlias = Callable[[Sequence[NewJob]], Coroutine[Any, Any, list[Submitted]]]


class _Waiting(NamedTuple):
    job: NewJob
    answer: asyncio.Future[Submitted]


class Gathering:
    """Of one tenant, in one process.

    Args:
        store_many: stores jobs of the tenant by one call, each accepted or refused by itself.
    """

    def __init__(self, store_many: StoreMany) -> None:
        self._store_many = store_many
        self._waiting: list[_Waiting] = []
        #: By what the script would know a submission again; it looks at all jobs of a call before it stores any.
        self._marks: set[str] = set()
        self._calls: set[asyncio.Task[None]] = set()
        self._alone = 0

    async def store(self, job: NewJob) -> Submitted:
        """Store a job, alone or with others; what becomes of those is nothing to it.

        Raises:
            Unavailable: if it could not be stored.
        """
        if self._alone or self._calls or self._waiting:
            return await self._with_others(job)
        self._alone += 1
        try:
            [submitted] = await self._store_many([job])
        finally:
            self._alone -= 1
        return submitted

    def _with_others(self, job: NewJob) -> asyncio.Future[Submitted]:
        marks = _marks_of(job) if job.idempotency_key or job.is_named else _NO_MARKS
        if not marks.isdisjoint(self._marks):
            self._leave()
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._leave)
        answer: asyncio.Future[Submitted] = loop.create_future()
        self._waiting.append(_Waiting(job, answer))
        self._marks |= marks
        if len(self._waiting) == _ENOUGH:
            self._leave()
        return answer

    def _leave(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._marks = set()
        if waiting:
            call = asyncio.create_task(self._store(waiting))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _store(self, waiting: Sequence[_Waiting]) -> None:
        try:
            submitted = await self._store_many([job for job, _ in waiting])
        except redis.ResponseError as error:
            await self._store_each(waiting, error)
        except Exception as error:  # noqa: BLE001 - whoever waits is told, whatever it is
            for _, answer in waiting:
                _fail(answer, error)
        else:
            for (_, answer), one in zip(waiting, submitted, strict=True):
                if not answer.done():
                    answer.set_result(one)

    async def _store_each(self, waiting: Sequence[_Waiting], error: Exception) -> None:
        """One of them meets something in Redis that it cannot be stored beside: which one, only single calls tell."""
        if len(waiting) == 1:
            return _fail(waiting[0].answer, error)
        for one in waiting:
            await self._store([one])
        return None


def _marks_of(job: NewJob) -> set[str]:
    named = {f"id {job.id}"} if job.is_named else set()
    return named | {f"key {job.idempotency_key}"} if job.idempotency_key else named


def _fail(answer: asyncio.Future[Submitted], error: Exception) -> None:
    if not answer.done():
        answer.set_exception(error)
