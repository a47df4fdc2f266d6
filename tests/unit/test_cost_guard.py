"""Workers that are not worth their price are not started."""

import pytest

from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from scheduler.cost_guard import guard
from scheduler.demand import Demand
from scheduler.observation import ClassLoad, Observation, QueueLoad
from scheduler.policy import ClassDecision, ScalingPolicy

REF = ModelRef("cat", 1)
#: An hour costs 36, so that a worker which stays for 60 s after a start of 40 s costs 1.
KIND = WorkerClass(
    min_workers=0, max_workers=20, wait_objective_s=10, scale_down_window_s=60, price_per_hour=36.0, late_cost=0.1
)
LOAD = ClassLoad(ready=1, cold_start_s=40.0, job_s={str(REF): 1.0})
#: 600 jobs wait, of a second each.
DEMAND = Demand(waiting=600, backlog_s=600.0, job_s=1.0)


def with_changes(**changes: float) -> WorkerClass:
    return KIND.model_copy(update=changes)


def test_a_worker_that_makes_enough_jobs_punctual_is_started() -> None:
    # The last of four is wanted for half its time: 30 jobs, worth 3.
    assert (3.5, ()) == guard(3.5, DEMAND, LOAD, KIND)


def test_one_that_does_not_is_left_out_with_the_reason() -> None:
    guarded = guard(3.1, DEMAND, LOAD, KIND)

    assert 3.0 == guarded.workers
    assert ("1 fewer: another would make 6 jobs punctual, worth 0.6, and cost 1",) == guarded.reasons


@pytest.mark.parametrize(
    "changes", [{"late_cost": 0.2}, {"price_per_hour": 20.0}, {"price_per_hour": 0.0}, {"late_cost": 0.0}]
)
def test_what_a_late_job_and_a_worker_cost_decide(changes: dict[str, float]) -> None:
    assert 3.1 == guard(3.1, DEMAND, LOAD, with_changes(**changes)).workers


def test_a_machine_is_paid_for_as_long_as_it_has_to_be() -> None:
    # An hour costs 36, which the 60 jobs that a worker does while it stays are not worth.
    assert 1.0 == guard(3.5, DEMAND, LOAD, with_changes(least_paid_s=3600)).workers


def test_work_that_keeps_coming_is_done_whatever_it_costs() -> None:
    worthless = with_changes(late_cost=1e-9)

    assert 4.0 == guard(7.5, DEMAND._replace(arriving=3.5), LOAD, worthless).workers
    assert 1.0 == guard(0.1, DEMAND, LOAD._replace(ready=0), worthless).workers + 0.9


def test_those_that_are_there_are_not_given_up_for_it() -> None:
    assert 5.0 == guard(7.5, DEMAND, LOAD._replace(ready=3, starting=2), with_changes(late_cost=1e-9)).workers


def test_the_policy_starts_fewer_where_a_late_job_costs_little_and_says_so() -> None:
    def decide(kind: WorkerClass) -> ClassDecision:
        policy = ScalingPolicy(classes={"cpu": kind})
        policy.decide(Observation((), {"cpu": ClassLoad()}), -1e6)
        queue = QueueLoad(REF, Tier.STANDARD, 600, 0, 0.0)
        return policy.decide(Observation((queue,), {"cpu": LOAD}), 0.0).classes["cpu"]

    dear, cheap = decide(with_changes(late_cost=0.5)), decide(with_changes(late_cost=0.001))

    assert (14, 1) == (dear.workers, cheap.workers)
    assert [reason for reason in cheap.reasons if reason.startswith("13 fewer: another would make 60 jobs punctual")]
