"""What was learned of a model's speed is there for the next worker."""

from collections.abc import Callable, Iterator

import pytest

from headrace.keys import Keys
from headrace.sync_redis import SyncRedis
from workers.cost_states import CostStates
from workers.loop import SelectorLoop
from workers.wire import Wire

Make = Callable[[str], CostStates]


@pytest.fixture
def loop() -> Iterator[SelectorLoop]:
    loop = SelectorLoop()
    yield loop
    loop.close()


@pytest.fixture
def wire(redis_url: str, loop: SelectorLoop) -> Iterator[Wire]:
    wire = Wire(url=redis_url, on_lost=lambda _: None)
    wire.connect()
    wire.attach(loop)
    yield wire
    wire.close()


@pytest.fixture
def make(wire: Wire, keys: Keys) -> Make:
    return lambda worker_class: CostStates(wire=wire, keys=keys, worker_class=worker_class, on_answer=lambda: None)


def answered(loop: SelectorLoop, costs: CostStates) -> bool:
    return loop.run_until(lambda: costs.settled(["a@1"], 0.0) == ["a@1"], limit_s=30)


def test_what_one_worker_learned_another_starts_with(make: Make, loop: SelectorLoop) -> None:
    make("gpu").learned("a@1", b'{"speed":1}')
    other = make("gpu")

    assert [] == other.settled(["a@1"], 0.0)
    assert answered(loop, other)
    assert b'{"speed":1}' == other["a@1"]


def test_another_class_or_version_is_another_matter(make: Make, loop: SelectorLoop) -> None:
    make("gpu").learned("a@1", b'{"speed":1}')
    make("cpu").learned("a@2", b'{"speed":2}')
    other = make("cpu")

    assert answered(loop, other)
    assert b"" == other["a@1"]


def test_a_version_that_nobody_ran_for_long_is_forgotten(
    make: Make, wire: Wire, loop: SelectorLoop, keys: Keys, connection: SyncRedis
) -> None:
    make("cpu").learned("a@1", b"{}")
    assert loop.run_until(lambda: not wire.is_waiting, limit_s=30)

    ttl_s = connection.client.ttl(keys.costs("a@1", "cpu"))

    assert 0 < int(str(ttl_s)) <= 7 * 86_400


@pytest.mark.parametrize("spoil", ["another type", "too long"])
def test_what_cannot_be_used_keeps_nobody_from_loading(
    make: Make, loop: SelectorLoop, keys: Keys, connection: SyncRedis, spoil: str
) -> None:
    key = keys.costs("a@1", "cpu")
    if spoil == "another type":
        connection.client.rpush(key, "x")
    else:
        connection.client.set(key, b"x" * 100_000)
    costs = make("cpu")

    assert answered(loop, costs)
    assert b"" == costs["a@1"]


def test_without_an_answer_a_version_is_loaded_after_a_while(make: Make) -> None:
    costs = make("cpu")

    assert [] == costs.settled(["a@1"], 10.0)
    assert ["a@1"] == costs.settled(["a@1"], 12.0)


def test_without_a_connection_a_version_is_loaded_once_it_has_had_time(wire: Wire, make: Make) -> None:
    costs = make("cpu")

    wire.close()
    costs.settled(["a@1"], 10.0)
    costs.learned("b@1", b"{}")

    assert ["a@1", "b@1"] == costs.settled(["a@1", "b@1"], 12.0)
    assert (b"", b"{}") == (costs["a@1"], costs["b@1"])
