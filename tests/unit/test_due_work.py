"""How many workers deadlines ask for, and that the scheduler starts so many."""

import pytest

from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from scheduler.due_work import urgency_of
from scheduler.observation import ClassLoad, Due, Observation, QueueLoad
from scheduler.policy import ClassDecision, ScalingPolicy
from scheduler.simulation.events.crew import Speed
from scheduler.simulation.events.queues import Job
from scheduler.simulation.events.scheduling import Scheduling
from scheduler.simulation.events.site import Site

REF = ModelRef("cat", 1)
#: A backlog may take ten minutes.
PATIENT = WorkerClass(min_workers=0, max_workers=40, wait_objective_s=600, scale_down_window_s=60)


def load(ready: int = 0, *, starting: int = 0) -> ClassLoad:
    return ClassLoad(ready, starting, cold_start_s=20.0, job_s={str(REF): 1.0})


def queue(jobs: int, *dues: Due) -> QueueLoad:
    return QueueLoad(REF, Tier.STANDARD, jobs, 0, 0.0, dues=dues)


def decide(seen: ClassLoad, *queues: QueueLoad, kind: WorkerClass = PATIENT) -> ClassDecision:
    policy = ScalingPolicy(classes={"cpu": kind})
    policy.decide(Observation((), {"cpu": ClassLoad()}), -1e6)
    return policy.decide(Observation(queues, {"cpu": seen}), 0.0).classes["cpu"]


# --- how many ----------------------------------------------------------------------------------------------


def test_work_that_is_done_in_time_asks_for_nobody_more() -> None:
    assert 0.0 == urgency_of([Due(90.0, 100.0)], load(1), 0.0).workers


def test_what_does_not_fit_is_for_workers_that_have_what_a_start_leaves_of_the_time() -> None:
    # 300 s are due in 100 s: one worker does 100 s of it, others have 80 s each.
    urgency = urgency_of([Due(300.0, 100.0)], load(1), 0.0)

    assert (1 + 200 / 80, 3.0) == (urgency.workers, urgency.busy)


def test_what_arrives_until_then_takes_its_time_too() -> None:
    assert 1 + 40 / 80 == urgency_of([Due(90.0, 100.0)], load(1), 0.5).workers


def test_workers_that_start_are_counted_for_the_time_that_they_will_have() -> None:
    assert 0.0 == urgency_of([Due(90.0, 100.0)], load(starting=1), 0.0).workers
    assert 1 + 10 / 80 == urgency_of([Due(100.0, 100.0)], load(starting=1), 0.0).workers


def test_the_deadline_that_asks_for_most_decides_with_all_that_is_due_before_it() -> None:
    dues = [Due(500.0, 400.0), Due(100.0, 60.0), Due(200.0, 40.0)]

    urgency = urgency_of(dues, load(), 0.0)

    assert (Due(200.0, 40.0), 10.0) == (urgency.due, urgency.workers)
    assert 300 / 40 == urgency_of([*dues[:2], Due(200.0, 15.0)], load(), 0.0).workers


def test_what_is_due_before_anybody_could_be_ready_starts_nobody() -> None:
    assert (0.0, 0.0) == urgency_of([Due(500.0, 20.0)], load(), 0.0)[:2]


# --- in the policy -----------------------------------------------------------------------------------------


def test_a_deadline_within_the_objective_starts_as_many_as_it_takes_with_the_reason() -> None:
    # 400 s of work may take ten minutes; if it is due in 120 s it takes four workers that have 100 s each.
    late, soon = decide(load(), queue(400)), decide(load(), queue(400, Due(400.0, 120.0)))

    assert (1, 4) == (late.workers, soon.workers)
    assert "400.0 s of work are due in 120 s at the latest: that takes 4.0 workers" in soon.reasons


def test_those_that_were_started_for_a_deadline_are_enough_and_stay_until_it_is_kept() -> None:
    asked = [
        decide(load(ready, starting=starting), queue(jobs, Due(jobs, in_s))).wanted
        for ready, starting, jobs, in_s in ((0, 4, 400, 120.0), (4, 0, 400, 101.0), (4, 0, 200, 51.0))
    ]

    assert [4, 4, 4] == asked


def test_jobs_with_deadlines_end_by_them_where_the_objective_alone_would_let_them_wait() -> None:
    classes = {"cpu": PATIENT}
    site = Site(classes=classes, speeds={"cpu": {REF: Speed.of_rate(1.0, max_batch=4)}}, seed=1)
    site.submit(Job(number, 30.0, REF, deadline_s=230.0) for number in range(400))

    Scheduling(site=site, classes=classes, cold_start_s=60.0).run(0.0, 600.0)

    assert 400 == len(site.done)
    assert max(done.ended_s for done in site.done) <= 230.0


@pytest.mark.parametrize("rule", ["keda", "rate"])
def test_the_rules_of_others_know_no_deadlines(rule: str) -> None:
    policy = ScalingPolicy(classes={"cpu": PATIENT}, rule=rule)

    seen = (Observation((queue(4, *dues),), {"cpu": load(1)}) for dues in ((), (Due(4.0, 20.1),)))

    assert 1 == len({policy.decide(some, 0.0).classes["cpu"].wanted for some in seen})
