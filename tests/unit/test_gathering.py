"""Jobs that come in the same moment are stored together, and each is answered as if it had come alone."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest
import redis

from api.gathering import Gathering
from headrace.errors import RedisUnavailable
from headrace.jobs import NewJob
from headrace.model_ref import ModelRef
from headrace.store_submissions import SubmitOutcome, Submitted
from headrace.tiers import Tier

REF = ModelRef("m", 1)


def job(job_id: str, *, key: str = "", is_named: bool = False) -> NewJob:
    return NewJob(
        id=job_id, tenant="t", ref=REF, tier=Tier.STANDARD, input=b"1", idempotency_key=key, is_named=is_named
    )


class Script:
    """Stands for the call of the script: notes who came together, and answers when it may."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.may_answer = asyncio.Event()
        self.refuses = ""

    async def store_many(self, jobs: Sequence[NewJob]) -> list[Submitted]:
        self.calls.append([each.id for each in jobs])
        await self.may_answer.wait()
        if self.refuses in {each.id for each in jobs}:
            raise redis.ResponseError("WRONGTYPE somebody else's value lies there")
        return [Submitted(SubmitOutcome.ACCEPTED, each.member, depth=0, now_ms=1) for each in jobs]


def gathered(test: Callable[[Script, Gathering], Awaitable[None]]) -> Script:
    async def run() -> Script:
        script = Script()
        await test(script, Gathering(script.store_many))
        return script

    return asyncio.run(run())


def test_a_job_that_comes_alone_leaves_at_once() -> None:
    async def test(script: Script, gathering: Gathering) -> None:
        script.may_answer.set()
        for name in "ab":
            await gathering.store(job(name))

    assert [["a"], ["b"]] == gathered(test).calls


def test_what_comes_while_a_call_is_under_way_leaves_together() -> None:
    async def test(script: Script, gathering: Gathering) -> None:
        tasks = [asyncio.create_task(gathering.store(job(name))) for name in "abcd"]
        await asyncio.sleep(0)
        script.may_answer.set()

        assert ["t/a", "t/b", "t/c", "t/d"] == [each.member for each in await asyncio.gather(*tasks)]

    assert [["a"], ["b", "c", "d"]] == gathered(test).calls


def test_a_call_takes_eight_at_most() -> None:
    async def test(script: Script, gathering: Gathering) -> None:
        tasks = [asyncio.create_task(gathering.store(job(f"{n}"))) for n in range(20)]
        await asyncio.sleep(0.01)
        script.may_answer.set()
        await asyncio.gather(*tasks)

    assert [1, 8, 8, 3] == [len(call) for call in gathered(test).calls]


@pytest.mark.parametrize(
    ("first", "second"),
    [(job("b", key="k"), job("c", key="k")), (job("b", is_named=True), job("b", is_named=True))],
    ids=["idempotency key", "chosen id"],
)
def test_submissions_of_one_mark_go_one_after_the_other(first: NewJob, second: NewJob) -> None:
    async def test(script: Script, gathering: Gathering) -> None:
        tasks = [asyncio.create_task(gathering.store(each)) for each in (job("a"), first, second)]
        await asyncio.sleep(0.01)
        script.may_answer.set()
        await asyncio.gather(*tasks)

    assert [["a"], [first.id], [second.id]] == gathered(test).calls


def test_a_job_that_is_refused_by_the_server_fails_alone() -> None:
    async def test(script: Script, gathering: Gathering) -> None:
        script.refuses = "c"
        tasks = [asyncio.create_task(gathering.store(job(name))) for name in "abcd"]
        await asyncio.sleep(0.01)
        script.may_answer.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)

        assert ["Submitted", "Submitted", "ResponseError", "Submitted"] == [type(each).__name__ for each in answers]

    gathered(test)


def test_a_lost_connection_is_told_to_all() -> None:
    async def lose(_: Sequence[NewJob]) -> list[Submitted]:
        await asyncio.sleep(0)
        raise RedisUnavailable("the connection to Redis was lost")

    async def test() -> list[object]:
        gathering = Gathering(lose)
        return await asyncio.gather(*(gathering.store(job(name)) for name in "abc"), return_exceptions=True)

    assert ["RedisUnavailable"] * 3 == [type(each).__name__ for each in asyncio.run(test())]


def test_a_caller_that_gives_up_takes_nobody_along() -> None:
    async def test(script: Script, gathering: Gathering) -> None:
        tasks = [asyncio.create_task(gathering.store(job(name))) for name in "abc"]
        await asyncio.sleep(0.01)
        tasks[1].cancel()
        script.may_answer.set()

        await asyncio.gather(tasks[0], tasks[2])

    assert [["a"], ["b", "c"]] == gathered(test).calls
