"""When a program that ended may be started again."""

from scheduler.restart import HEALTHY_AFTER_S, RestartPolicy


def crash(policy: RestartPolicy, *, at: float, after_s: float = 0.1) -> float:
    policy.started(at)
    return policy.ended(at + after_s)


def test_a_program_that_never_ran_may_start() -> None:
    assert RestartPolicy().is_due(0.0)


def test_delays_grow_to_thirty_seconds_while_it_crashes_early() -> None:
    policy = RestartPolicy()

    delays = [crash(policy, at=100.0 * n) for n in range(10)]

    assert delays == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_it_is_not_due_before_its_delay_has_passed() -> None:
    policy = RestartPolicy()
    crash(policy, at=0.0)

    crash(policy, at=1.0, after_s=0.0)

    assert not policy.is_due(1.4)
    assert policy.is_due(1.5)


def test_a_healthy_life_clears_the_record() -> None:
    policy = RestartPolicy()
    for n in range(5):
        crash(policy, at=100.0 * n)

    delay_s = crash(policy, at=1000.0, after_s=HEALTHY_AFTER_S)

    assert delay_s == 0.0
    assert policy.early_ends == 1


def test_three_early_ends_in_a_row_are_a_loop() -> None:
    policy = RestartPolicy()

    seen = []
    for n in range(3):
        crash(policy, at=100.0 * n)
        seen.append(policy.is_looping)

    assert seen == [False, False, True]
