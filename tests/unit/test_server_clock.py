"""The server's time is known from its answers, and goes on by a clock that nobody sets."""

from headrace.server_clock import ServerClock


def test_it_goes_on_from_the_last_answer() -> None:
    now = [100.0]
    clock = ServerClock(monotonic=lambda: now[0])
    clock.learn(1_000_000)
    now[0] += 2.5

    assert clock.now_ms() == 1_002_500


def test_before_the_first_answer_it_knows_nothing() -> None:
    clock = ServerClock()

    assert not clock.is_known


def test_a_server_that_was_set_back_is_followed() -> None:
    clock = ServerClock(monotonic=lambda: 5.0)
    clock.learn(9_000_000)
    clock.learn(1_000)

    assert clock.now_ms() == 1_000
