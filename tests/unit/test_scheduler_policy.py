"""How many workers there should be: pure decisions, and what they do to simple loads over time."""

import itertools
import random
from collections.abc import Callable

import pytest

from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass, default_worker_classes
from scheduler.observation import ClassLoad, Observation, QueueLoad
from scheduler.policy import ClassDecision, ScalingPolicy
from scheduler.rules import RHO

REF = ModelRef("cat", 1)
JOB_S = 0.1
LONG_AGO = -1e6
GPU = WorkerClass(min_workers=0, max_workers=8, wait_objective_s=10, scale_down_window_s=60)


def queue(waiting: int = 0, *, tier: Tier = Tier.STANDARD, held: int = 0, arrivals: float = 0.0) -> QueueLoad:
    return QueueLoad(REF, tier, waiting, held, arrivals)


def load(ready: int = 0, *, starting: int = 0, desired: int | None = None, cold_start_s: float = 4.0) -> ClassLoad:
    return ClassLoad(ready, starting, 0, desired, cold_start_s, {str(REF): JOB_S})


def idle_policy(classes: dict[str, WorkerClass]) -> ScalingPolicy:
    """One that has known for long that no workers are needed."""
    policy = ScalingPolicy(classes=classes)
    policy.decide(Observation((), dict.fromkeys(classes, ClassLoad())), LONG_AGO)
    return policy


def decide(kind: WorkerClass, seen: ClassLoad, *queues: QueueLoad) -> ClassDecision:
    """Of one class that is known to have had no need for workers."""
    return idle_policy({"gpu": kind}).decide(Observation(queues, {"gpu": seen}), 0.0).classes["gpu"]


def with_bounds(least: int, most: int) -> WorkerClass:
    return GPU.model_copy(update={"min_workers": least, "max_workers": most})


# --- one decision ------------------------------------------------------------------------------------------


def test_without_jobs_the_least_workers_are_kept() -> None:
    assert decide(with_bounds(0, 8), load()).workers == 0
    assert decide(with_bounds(2, 8), load(2)).workers == 2


def test_the_first_job_starts_a_worker_at_once() -> None:
    decision = decide(GPU, load(), queue(1))

    assert decision.workers == 1


def test_a_worker_that_is_still_starting_is_not_given_up_while_a_job_waits() -> None:
    assert decide(GPU, load(desired=1, cold_start_s=60), queue(1)).wanted == 1


def test_a_backlog_is_to_be_gone_within_the_objective() -> None:
    # 500 jobs are 50 s of work, to be done in 10 s.
    assert decide(GPU, load(), queue(500)).workers == 5


def test_jobs_that_workers_hold_are_work_too() -> None:
    assert decide(GPU, load(), queue(250, held=250)).workers == 5


def test_what_arrives_needs_workers_with_some_to_spare() -> None:
    # 30 jobs a second are 3 s of work a second; nobody is to be busy for more than 85 % of the time.
    assert decide(GPU, load(4), queue(arrivals=30.0)).workers == 4


def test_a_backlog_that_is_gone_before_another_worker_is_ready_starts_none() -> None:
    # 35 jobs are 3.5 s of work for one worker; another would be there in 4 s.
    assert decide(GPU, load(1), queue(35)).workers == 1


def test_workers_that_were_asked_for_are_counted_before_they_speak() -> None:
    alone = decide(GPU, load(1), queue(500))
    ordered = decide(GPU, load(1, desired=5), queue(500))

    assert ordered.wanted < alone.wanted


def test_the_measured_time_of_a_job_decides() -> None:
    quick = load()._replace(job_s={str(REF): JOB_S / 10})

    assert [5, 1] == [decide(GPU, seen, queue(500)).workers for seen in (load(), quick)]


def test_no_more_workers_than_allowed_with_the_reason() -> None:
    decision = decide(with_bounds(0, 2), load(), queue(500))

    assert decision.workers == 2
    assert "5.0 workers would be needed, but max_workers is 2" in decision.reasons


def test_the_reasons_tell_what_was_seen() -> None:
    decision = decide(GPU, load(), queue(500))

    assert decision.reasons[0].startswith("500 jobs of standard are 50.0 s of work")


def test_the_reasons_tell_of_a_forecast_that_expects_less_than_what_arrives() -> None:
    policy = idle_policy({"gpu": GPU})
    draw = random.Random(1)
    rates = [draw.lognormvariate(2.5, 1.2) for _ in range(200)] + [100.0]

    for minute, rate in enumerate(rates):
        seen = QueueLoad(REF, Tier.STANDARD, 0, 0, arrivals=rate, arrived=rate)
        observed = Observation((seen,), {"gpu": load(3)})
        decision = policy.decide(observed, 60.0 * minute).classes["gpu"]

    assert decision.planned < decision.demand.arriving
    assert decision.reasons[1].endswith("for each second until another worker is ready (forecast: hour)")


def test_a_queue_that_no_class_serves_asks_for_nobody() -> None:
    other = GPU.model_copy(update={"models": ("dog",)})

    assert decide(other, load(), queue(500)).workers == 0


# --- several classes ---------------------------------------------------------------------------------------


def share(on_demand: ClassLoad, spot: ClassLoad, *queues: QueueLoad, most: int = 4) -> dict[str, int]:
    classes = default_worker_classes(most)
    return idle_policy(classes).decide(Observation(queues, {"on-demand": on_demand, "spot": spot}), 0.0).counts


def test_spare_time_of_workers_that_run_anyway_is_used_before_spot_workers_are_started() -> None:
    assert share(load(1), load(), queue(20, tier=Tier.SPOT)) == {"on-demand": 1, "spot": 0}


def test_much_spot_work_gets_spot_workers() -> None:
    # 200 s of work to be done in 30 s: all of the spot class, then of the other.
    counts = share(load(1), load(), queue(2_000, tier=Tier.SPOT))

    assert counts["spot"] == 2
    assert counts["on-demand"] == 4


def test_priority_never_asks_for_spot_workers() -> None:
    counts = share(load(1), load(), queue(100_000, tier=Tier.PRIORITY))

    assert counts == {"on-demand": 4, "spot": 0}


def test_a_class_that_does_the_work_of_another_says_so() -> None:
    classes = {"on-demand": with_bounds(1, 1), "spot": with_bounds(0, 2)}
    seen = Observation((queue(500),), {"on-demand": load(1), "spot": load()})

    decided = idle_policy(classes).decide(seen, 0.0).classes

    assert "does some of the work of on-demand" in decided["spot"].reasons
    assert "does some of the work of" not in " ".join(decided["on-demand"].reasons)


def test_a_little_work_in_the_spare_time_of_others_is_not_worth_telling() -> None:
    classes = {"on-demand": with_bounds(1, 1), "spot": with_bounds(0, 2).model_copy(update={"tiers": (Tier.SPOT,)})}
    seen = Observation((queue(tier=Tier.SPOT, arrivals=0.1),), {"on-demand": load(1), "spot": load()})

    decided = idle_policy(classes).decide(seen, 0.0)

    assert decided.counts == {"on-demand": 1, "spot": 0}
    assert "does some of the work of" not in " ".join(decided.classes["on-demand"].reasons)


def test_standard_work_beyond_its_own_class_goes_to_spot_workers() -> None:
    counts = share(load(1), load(), queue(100_000))

    assert counts == {"on-demand": 4, "spot": 2}


# --- over time ---------------------------------------------------------------------------------------------


def test_fewer_workers_only_after_the_window() -> None:
    policy, busy, idle = idle_policy({"gpu": GPU}), queue(500), queue()
    policy.decide(Observation((busy,), {"gpu": load()}), 0.0)

    counts = {}
    for now in (1.0, 59.0, 61.0):
        counts[now] = policy.decide(Observation((idle,), {"gpu": load(5)}), now).counts["gpu"]

    assert counts == {1.0: 5, 59.0: 5, 61.0: 0}


def test_what_is_kept_is_told() -> None:
    policy = idle_policy({"gpu": GPU})
    policy.decide(Observation((queue(500),), {"gpu": load()}), 0.0)

    later = policy.decide(Observation((queue(),), {"gpu": load(5)}), 30.0).classes["gpu"]

    assert (5, 0) == (later.workers, later.wanted)
    assert "5 kept: so many were needed 30 s ago, and the window is 60 s" in later.reasons


def idle_for(seconds: float, *, cold_start_s: float) -> ClassDecision:
    """A class of five workers that had work, then none for so long; it is looked at every second."""
    policy, workers = idle_policy({"gpu": GPU}), 5
    policy.decide(Observation((queue(500),), {"gpu": load()}), 0.0)
    for tick in range(1, int(seconds) + 1):
        there = load(workers, desired=workers, cold_start_s=cold_start_s)
        decided = policy.decide(Observation((queue(),), {"gpu": there}), float(tick)).classes["gpu"]
        workers = decided.workers
    return decided


def test_the_last_worker_is_kept_for_as_long_as_starting_it_again_would_cost() -> None:
    counts = {idle_s: idle_for(idle_s, cold_start_s=30.0).workers for idle_s in (59, 61, 89, 91)}

    assert counts == {59: 5, 61: 1, 89: 1, 91: 0}


def test_it_says_why_an_idle_worker_is_kept() -> None:
    reasons = idle_for(70, cold_start_s=30.0).reasons

    assert "1 kept though idle: to start it again would cost as much as 90 s of it" in reasons


def test_nobody_is_started_to_be_idle() -> None:
    policy = idle_policy({"gpu": GPU})
    policy.decide(Observation((queue(1),), {"gpu": load(cold_start_s=30.0)}), 0.0)

    assert policy.decide(Observation((), {"gpu": load(cold_start_s=30.0)}), 61.0).counts == {"gpu": 0}


def test_an_idle_worker_is_kept_for_a_quarter_of_an_hour_at_most() -> None:
    policy = idle_policy({"gpu": GPU})
    seen = load(1, desired=1, cold_start_s=500.0)
    policy.decide(Observation((queue(1),), {"gpu": seen}), 0.0)

    counts = {now: policy.decide(Observation((), {"gpu": seen}), now).counts["gpu"] for now in (899.0, 901.0)}

    assert counts == {899.0: 1, 901.0: 0}


def test_for_a_few_fewer_none_is_drained_and_the_reason_says_so() -> None:
    policy, kind = ScalingPolicy(classes={"gpu": with_bounds(0, 20)}), queue(arrivals=10 * RHO / JOB_S)
    policy.decide(Observation((kind,), {"gpu": load(11)}), 0.0)

    later = policy.decide(Observation((kind,), {"gpu": load(11)}), 61.0).classes["gpu"]

    assert (11, 10) == (later.workers, later.wanted)
    assert "11 kept: 10 would do, and none is drained for so few" in later.reasons


def test_the_least_workers_are_gone_down_to_even_if_that_is_only_one_fewer() -> None:
    policy = ScalingPolicy(classes={"gpu": with_bounds(10, 20)})
    policy.decide(Observation((), {"gpu": load(11)}), 0.0)

    assert policy.decide(Observation((), {"gpu": load(11)}), 61.0).counts == {"gpu": 10}


def test_workers_that_somebody_adds_are_not_taken_for_its_own() -> None:
    policy, kind = idle_policy({"gpu": with_bounds(0, 50)}), queue(arrivals=20 * RHO / JOB_S)
    counts = [0]

    for tick in range(60):
        seen = load(counts[-1] + 1)
        counts.append(policy.decide(Observation((kind,), {"gpu": seen}), tick * 5.0).counts["gpu"])

    assert {20} == set(counts[-30:])


def test_a_scheduler_that_has_just_started_keeps_what_it_finds_for_one_window() -> None:
    policy = ScalingPolicy(classes={"gpu": GPU})

    first = policy.decide(Observation((), {"gpu": load(3)}), 0.0)
    last = policy.decide(Observation((), {"gpu": load(3)}), 61.0)

    assert [3, 0] == [first.counts["gpu"], last.counts["gpu"]]


def test_what_an_earlier_scheduler_asked_for_is_kept_too() -> None:
    decision = ScalingPolicy(classes={"gpu": GPU}).decide(Observation((), {"gpu": load(1, desired=4)}), 0.0)

    assert decision.counts == {"gpu": 4}


def test_one_that_was_told_to_forget_keeps_what_it_finds_again() -> None:
    policy = idle_policy({"gpu": GPU})

    policy.forget()

    assert policy.decide(Observation((), {"gpu": load(3)}), 0.0).counts == {"gpu": 3}


def test_two_schedulers_that_see_the_same_decide_the_same() -> None:
    seen = Observation((queue(500),), {"gpu": load(1)})

    first, second = (ScalingPolicy(classes={"gpu": GPU}).decide(seen, 7.0) for _ in range(2))

    assert first == second


TICK_S = 0.5
Arrivals = Callable[[float], float]


class Run:
    """A class under a load that arrives as a fluid: workers are ready `cold_s` after they were asked for."""

    def __init__(self, kind: WorkerClass, arrivals: Arrivals, *, cold_s: float, seconds: float) -> None:
        policy = idle_policy({"gpu": kind})
        self.counts: list[int] = []
        self.waiting: list[float] = []
        ready_at: list[float] = []
        backlog, rate = 0.0, 0.0
        for tick in range(int(seconds / TICK_S)):
            now = tick * TICK_S
            ready = sum(at <= now for at in ready_at)
            came = arrivals(now) * TICK_S
            rate += (came / TICK_S - rate) * TICK_S / 10
            backlog = max(0.0, backlog + came - ready * TICK_S / JOB_S)
            seen = ClassLoad(ready, len(ready_at) - ready, 0, len(ready_at), cold_s, {str(REF): JOB_S})
            count = policy.decide(Observation((queue(int(backlog), arrivals=rate),), {"gpu": seen}), now).counts["gpu"]
            ready_at = sorted(ready_at)[:count] + [now + cold_s] * (count - len(ready_at))
            self.counts.append(count)
            self.waiting.append(backlog)

    @property
    def turns(self) -> int:
        """How often the number began to fall after rising, or to rise after falling."""
        steps = [b - a for a, b in itertools.pairwise(self.counts) if a != b]
        return sum((a < 0) is not (b < 0) for a, b in itertools.pairwise(steps))


@pytest.mark.parametrize("cold_s", [1.0, 5.0, 30.0])
@pytest.mark.parametrize("rate", [2.0, 15.0, 40.0])
def test_a_steady_load_gets_a_steady_number_of_workers(cold_s: float, rate: float) -> None:
    run = Run(GPU, lambda _: rate, cold_s=cold_s, seconds=600)

    assert run.turns <= 1
    assert len(set(run.counts[-400:])) == 1
    assert run.waiting[-1] <= rate * GPU.wait_objective_s


@pytest.mark.parametrize("cold_s", [1.0, 5.0, 30.0])
def test_a_burst_makes_the_number_rise_once_and_fall_once(cold_s: float) -> None:
    run = Run(GPU, lambda now: 500.0 if now < 2 else 0.0, cold_s=cold_s, seconds=400)

    assert run.turns == 1
    assert max(run.counts) == GPU.max_workers
    assert run.counts[-1] == 0
    assert run.waiting[-1] == 0


@pytest.mark.parametrize("cold_s", [1.0, 5.0, 30.0])
def test_bursts_that_come_within_the_window_do_not_make_it_swing(cold_s: float) -> None:
    run = Run(GPU, lambda now: 300.0 if now % 30 < 1 else 0.0, cold_s=cold_s, seconds=600)

    assert run.turns <= 1


def test_a_step_up_is_followed_within_a_few_ticks() -> None:
    run = Run(GPU, lambda now: 5.0 if now < 100 else 45.0, cold_s=5.0, seconds=300)

    assert run.counts[int(90 / TICK_S)] == 1
    assert run.counts[int(115 / TICK_S)] >= 5
