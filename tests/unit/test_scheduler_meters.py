"""What the scheduler remembers between two looks."""

import pytest

from headrace.presence import ModelPresence, ModelState, WorkerPresence, WorkerState
from headrace.tiers import Tier
from scheduler.meters import JobTimes, RateMeter, StartMeter
from scheduler.observation import ClassLoad


def worker(
    name: str = "w1", *, worker_class: str = "gpu", started_s: float = 0, ready_s: float | None = None, job_s: float = 0
) -> WorkerPresence:
    return WorkerPresence(
        id=name,
        worker_class=worker_class,
        host="h",
        pid=1,
        device="cpu",
        tiers=tuple(Tier),
        state=WorkerState.READY,
        started_ms=int(started_s * 1000),
        ready_ms=None if ready_s is None else int(ready_s * 1000),
        models={"cat@1": ModelPresence(state=ModelState.READY, job_s=job_s)} if job_s else {},
    )


def test_a_steady_counter_has_its_rate_after_a_while() -> None:
    meter = RateMeter()

    rates = [meter.update({"g": 50 * second}, second, tau_s=10) for second in range(60)]

    assert rates[0] == {"g": 0}
    assert rates[-1]["g"] == pytest.approx(50, rel=0.01)


def test_a_rate_fades_when_nothing_comes() -> None:
    meter = RateMeter()
    meter.update({"g": 0}, 0, tau_s=10)

    rates = [meter.update({"g": 1_000}, second, tau_s=10)["g"] for second in (1, 11, 100)]

    assert rates[0] == pytest.approx(95.2, abs=0.1)
    assert rates[1] == pytest.approx(rates[0] / 2.718, rel=0.01)
    assert rates[2] < 0.01


def test_a_counter_that_fell_back_is_not_a_rate() -> None:
    meter = RateMeter()
    meter.update({"g": 1_000}, 0, tau_s=10)

    assert meter.update({"g": 5}, 1, tau_s=10) == {"g": 0}


def test_a_counter_that_is_new_began_at_nothing() -> None:
    meter = RateMeter()
    meter.update({"old": 1_000}, 0, tau_s=10)

    rates = meter.update({"old": 1_000, "new": 100}, 1, tau_s=10)

    assert rates == {"old": 0, "new": pytest.approx(9.5, abs=0.1)}


def test_two_looks_at_one_moment_are_one() -> None:
    meter = RateMeter()
    meter.update({"g": 0}, 1, tau_s=10)

    assert meter.update({"g": 9}, 1, tau_s=10) == {"g": 0}


def test_the_longest_of_the_last_starts_counts_for_each_class() -> None:
    meter = StartMeter()

    meter.note([worker("a", ready_s=3), worker("b", started_s=10, ready_s=12), worker("c")])
    meter.note([worker("a", ready_s=3), worker("d", worker_class="cpu", ready_s=9)])

    assert [3, 9] == [meter.cold_start_s("gpu"), meter.cold_start_s("cpu")]


def test_a_class_that_never_started_is_guessed() -> None:
    assert StartMeter().cold_start_s("gpu") == ClassLoad().cold_start_s
    assert {} == StartMeter().stages("gpu")


def test_the_stages_are_those_of_the_start_that_counts() -> None:
    meter = StartMeter()
    quick, slow = {"process": 1.0, "child": 0.5, "model": 0.5}, {"process": 1.0, "child": 0.5, "model": 7.5}

    soon, late = worker("a", ready_s=2), worker("b", ready_s=9)
    meter.note([soon.model_copy(update={"start_s": quick}), late.model_copy(update={"start_s": slow})])

    assert slow == meter.stages("gpu")


def test_a_worker_that_stood_idle_for_want_of_a_model_does_not_count_as_a_slow_start() -> None:
    meter = StartMeter()

    idle = worker("a", ready_s=600)
    meter.note([idle.model_copy(update={"start_s": {"process": 4.0, "child": 0.5, "model": 0.5}})])

    assert meter.cold_start_s("gpu") == 5.0


def test_a_class_is_known_by_its_own_workers_then_by_others_then_by_the_averages() -> None:
    times = JobTimes()
    times.note([worker("a", job_s=0.25), worker("b", job_s=0.75), worker("c", worker_class="cpu", job_s=4.0)])

    assert times.of_class("gpu", {"cat@1": 9.0, "dog@1": 7.0}) == {"cat@1": 0.5, "dog@1": 7.0}
    assert times.of_class("cpu", {}) == {"cat@1": 4.0}
    assert times.of_class("new", {})["cat@1"] in (0.5, 4.0)


def test_what_workers_said_that_are_gone_stays_known() -> None:
    times = JobTimes()
    times.note([worker("a", job_s=0.25)])

    times.note([])

    assert times.of_class("gpu", {}) == {"cat@1": 0.25}


def test_what_was_measured_before_counts_where_nothing_is_known() -> None:
    times = JobTimes()
    times.note([worker("a", job_s=0.5)])

    times.recall("gpu", {"cat@1": 9.0, "dog@1": 2.0})

    assert {"cat@1": 0.5, "dog@1": 2.0} == times.of_class("gpu", {})
    assert {"cat@1", "dog@1"} == times.measured_by("gpu")
