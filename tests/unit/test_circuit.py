"""When a version is taken out of service on a worker."""

from headrace.jobs import Cause
from workers.circuit import Circuit

GOOD: list[Cause | None] = [None] * 8
BAD: list[Cause | None] = [Cause.MODEL] * 8


def circuit(*, has_worked: bool = True) -> Circuit:
    made = Circuit()
    if has_worked:
        made.ended("a@1", GOOD)
    return made


def pauses(made: Circuit, *passes: list[Cause | None]) -> list[float]:
    return [made.ended("a@1", causes) for causes in passes]


def test_what_worked_and_then_fails_everything_is_taken_out() -> None:
    assert [0.0, 0.0, 1.0] == pauses(circuit(), BAD, BAD, BAD)


def test_one_success_among_the_failures_keeps_it_in() -> None:
    mixed: list[Cause | None] = [Cause.MODEL, None]

    assert [0.0] * 7 == pauses(circuit(), BAD, BAD, mixed, BAD, BAD, GOOD, BAD)


def test_one_large_bad_batch_is_no_sign() -> None:
    assert [0.0] == pauses(circuit(), BAD * 10)


def test_inputs_that_the_model_refused_do_not_count() -> None:
    refused: list[Cause | None] = [Cause.INPUT] * 8

    assert [0.0] * 20 == pauses(circuit(), *[refused] * 20)


def test_what_never_worked_here_is_the_models_own_fault() -> None:
    assert [0.0] * 20 == pauses(circuit(has_worked=False), *[BAD] * 20)


def test_it_stays_out_longer_each_time_until_something_succeeds() -> None:
    made = circuit()

    assert [0.0, 0.0, 1.0, 0.0, 0.0, 2.0] == pauses(made, *[BAD] * 6)
    assert [0.0, 0.0, 0.0, 1.0] == pauses(made, GOOD, BAD, BAD, BAD)


def test_versions_are_judged_apart() -> None:
    made = circuit()

    made.ended("b@1", BAD)
    made.ended("b@1", BAD)

    assert [0.0] == pauses(made, BAD)
