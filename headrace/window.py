"""Many things at once, but not too many: how `map` and the command line work through long lists of jobs."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from headrace.errors import HeadraceError, Unavailable
from headrace.progress import Progress

T = TypeVar("T")

#: Jobs under way at once.
DEFAULT_WINDOW = 256


async def in_window(
    act: Callable[[Any], Awaitable[T]],
    values: Iterable[Any],
    *,
    window: int,
    progress: Progress | None = None,
    each: Callable[[T | HeadraceError], None] | None = None,
) -> list[T | HeadraceError]:
    """Do something with every value, `window` of them at once; what came of each, in their order.

    Args:
        act: what to do.
        values: with what.
        window: how many at once.
        progress: is told how many have ended.
        each: is given each outcome as soon as it and all before it are there; what it raises ends everything.

    Raises:
        Unavailable: if the API stays out of reach; no further value is begun then.
    """
    under_way = _Window(act, places=asyncio.Semaphore(window), progress=progress, each=each)
    try:
        await under_way.run(values)
    except ExceptionGroup as group:
        raise group.exceptions[0] from None
    return [under_way.outcomes[index] for index in range(len(under_way.outcomes))]


class _Window(Generic[T]):
    def __init__(
        self,
        act: Callable[[Any], Awaitable[T]],
        *,
        places: asyncio.Semaphore,
        progress: Progress | None,
        each: Callable[[T | HeadraceError], None] | None,
    ) -> None:
        self._act = act
        self._places = places
        self._progress = progress
        self._each = each
        self._given = 0
        self._lost: list[Unavailable] = []
        self.outcomes: dict[int, T | HeadraceError] = {}

    async def run(self, values: Iterable[Any]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for index, value in enumerate(values):
                await self._places.acquire()
                if self._lost:
                    break
                tasks.create_task(self._one(index, value))
        if self._lost:
            raise self._lost[0]

    async def _one(self, index: int, value: Any) -> None:
        try:
            self.outcomes[index] = await self._act(value)
        except Unavailable as error:
            self._lost.append(error)
            return
        except HeadraceError as error:
            self.outcomes[index] = error
        finally:
            self._places.release()
        if self._progress is not None:
            self._progress(len(self.outcomes))
        self._give()

    def _give(self) -> None:
        while self._each is not None and self._given in self.outcomes:
            self._given += 1
            self._each(self.outcomes[self._given - 1])


def run_apart(whole: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, also where an event loop is running already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(whole())
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, whole()).result()
