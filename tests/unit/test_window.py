"""Many things at once, told in order."""

import asyncio

import pytest

from headrace.errors import HeadraceError, InvalidInput
from headrace.window import in_window


async def test_outcomes_are_handed_on_in_order_as_soon_as_all_before_are_there() -> None:
    gates = [asyncio.Event() for _ in range(3)]
    given: list[int | HeadraceError] = []

    async def act(place: int) -> int:
        await gates[place].wait()
        return place

    async with asyncio.TaskGroup() as tasks:
        whole = tasks.create_task(in_window(act, range(3), window=3, each=given.append))
        seen = []
        for place in (1, 0, 2):
            await asyncio.sleep(0)
            gates[place].set()
            for _ in range(5):
                await asyncio.sleep(0)
            seen.append(list(given))

    assert seen == [[], [0, 1], [0, 1, 2]]
    assert await whole == [0, 1, 2]


async def test_one_that_went_wrong_is_handed_on_in_its_place() -> None:
    given: list[str | HeadraceError] = []

    async def act(value: str) -> str:
        if not value:
            raise InvalidInput("empty")
        return value

    await in_window(act, ["a", "", "b"], window=1, each=given.append)

    assert ["a", "empty", "b"] == [one if isinstance(one, str) else one.detail for one in given]


async def test_who_takes_no_more_ends_it_all_with_his_own_word() -> None:
    async def act(value: int) -> int:
        await asyncio.sleep(0 if value == 0 else 3600)
        return value

    def each(_: int | HeadraceError) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        await in_window(act, range(4), window=4, each=each)
