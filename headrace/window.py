"""Many things at once, but not too many: how `map` and the command line work through long lists of jobs."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from headrace.errors import HeadraceError, Unavailable
from headrace.progress import Progress

T = TypeVar("T")

#: Jobs under way at once.
DEFAULT_WINDOW = 256


async def in_window(
    act: Callable[[Any], Awaitable[T]], values: Iterable[Any], *, window: int, progress: Progress | None = None
) -> list[T | HeadraceError]:
    """Do something with every value, `window` of them at once; what came of each, in their order.

    Raises:
        Unavailable: if the API stays out of reach; no further value is begun then.
    """
    outcomes: dict[int, T | HeadraceError] = {}
    places = asyncio.Semaphore(window)
    lost: list[Unavailable] = []

    async def one(index: int, value: Any) -> None:
        try:
            outcomes[index] = await act(value)
        except Unavailable as error:
            lost.append(error)
            return
        except HeadraceError as error:
            outcomes[index] = error
        finally:
            places.release()
        if progress is not None:
            progress(len(outcomes))

    async with asyncio.TaskGroup() as tasks:
        for index, value in enumerate(values):
            await places.acquire()
            if lost:
                break
            tasks.create_task(one(index, value))
    if lost:
        raise lost[0]
    return [outcomes[index] for index in range(len(outcomes))]


def run_apart(whole: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, also where an event loop is running already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(whole())
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, whole()).result()
