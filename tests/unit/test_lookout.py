"""How often those who wait for a change look again."""

from contextlib import ExitStack

from api.lookout import Lookout


def test_a_few_look_every_second() -> None:
    lookout = Lookout(pause_s=1, looks_per_s=100)

    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(lookout.watching())

        assert lookout.pause_s == 1


def test_many_look_no_more_often_together_than_may_be() -> None:
    lookout = Lookout(pause_s=1, looks_per_s=100)

    with ExitStack() as stack:
        for _ in range(1000):
            stack.enter_context(lookout.watching())

        assert 1000 / lookout.pause_s == 100
    assert lookout.pause_s == 1
