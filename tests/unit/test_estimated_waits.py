"""How long a job would wait that is handed in now."""

from typing import Any

import pytest

from headrace.admission import MARGIN, Admission, Coming, Sight
from headrace.groups import group_of
from headrace.model_ref import ModelRef
from headrace.presence import GroupLoad, ModelPresence, ModelState, WorkerPresence, WorkerState
from headrace.tiers import Tier

REF, OTHER = ModelRef("m", 1), ModelRef("n", 1)
JOB_S = 0.1


def worker(name: str = "w1", *refs: ModelRef, tiers: tuple[Tier, ...] = tuple(Tier), **more: Any) -> WorkerPresence:
    models = {str(ref): ModelPresence(state=ModelState.READY, job_s=JOB_S) for ref in refs or (REF,)}
    known = {"worker_class": "gpu", "host": "h", "pid": 1, "device": "cpu", "state": WorkerState.READY, "started_ms": 0}
    return WorkerPresence.model_validate({"id": name, "tiers": tiers, "models": models, **known, **more})


def queue(tier: Tier, waiting: int, *, ref: ModelRef = REF, arrived: int = 0, ended: int = 0) -> Sight:
    return Sight(ref, tier, waiting, arrived, ended)


def seeing(*sights: Sight, workers: tuple[WorkerPresence, ...], coming: tuple[Coming, ...] = ()) -> Admission:
    admission = Admission()
    admission.look(sights, workers, coming, 100.0)
    return admission


def test_what_waits_is_shared_by_the_workers_that_serve_it() -> None:
    admission = seeing(queue(Tier.STANDARD, 40), workers=(worker("w1"), worker("w2")))

    assert 40 * JOB_S / 2 == admission.wait_s(REF, Tier.STANDARD)


def test_workers_that_leave_a_queue_to_others_do_none_of_it_nor_say_how_long_it_takes() -> None:
    slow = {str(REF): ModelPresence(state=ModelState.READY, job_s=50 * JOB_S)}
    away = worker("w2", models=slow, left=(group_of(REF, Tier.STANDARD),))

    admission = seeing(queue(Tier.STANDARD, 40), workers=(worker("w1"), away))

    assert 40 * JOB_S == admission.wait_s(REF, Tier.STANDARD)


def test_an_empty_queue_is_no_wait() -> None:
    assert 0 == seeing(workers=(worker(),)).wait_s(REF, Tier.STANDARD)


def test_less_urgent_jobs_are_not_waited_for_and_more_urgent_ones_are() -> None:
    admission = seeing(
        *(queue(tier, count) for tier, count in zip(Tier, (10, 20, 400), strict=True)), workers=(worker(),)
    )

    assert [10 * JOB_S, 30 * JOB_S, 430 * JOB_S] == [admission.wait_s(REF, tier) for tier in Tier]


def test_jobs_that_workers_have_are_ahead_too_half_done_if_they_run() -> None:
    load = {group_of(REF, Tier.STANDARD): GroupLoad(held=12, running=4)}
    admission = seeing(queue(Tier.STANDARD, 0), workers=(worker(groups=load),))

    assert pytest.approx((8 + 4 / 2) * JOB_S) == admission.wait_s(REF, Tier.STANDARD)


def test_what_was_let_in_since_the_last_look_is_ahead_too() -> None:
    admission = seeing(queue(Tier.STANDARD, 0), workers=(worker(),))

    for _ in range(5):
        admission.let_in(REF, Tier.STANDARD)

    assert pytest.approx(5 * JOB_S) == admission.wait_s(REF, Tier.STANDARD)


def test_the_first_jobs_of_a_queue_are_ahead_of_the_next_before_anybody_has_seen_it() -> None:
    admission = seeing(workers=(worker(),))

    for _ in range(5):
        admission.let_in(REF, Tier.STANDARD)

    assert pytest.approx(5 * JOB_S) == admission.wait_s(REF, Tier.STANDARD)


def test_another_models_queue_counts_by_the_share_of_its_workers_that_serve_this_one() -> None:
    both, one, two = worker("w1", REF, OTHER), worker("w2", OTHER), worker("w3", OTHER)
    admission = seeing(queue(Tier.STANDARD, 30, ref=OTHER), workers=(both, one, two))

    assert pytest.approx(30 * JOB_S / 3) == admission.wait_s(REF, Tier.STANDARD)


def test_what_more_urgent_tiers_keep_bringing_is_work_that_is_not_done_for_others() -> None:
    # Five priority jobs a second are half of what the worker can do.
    admission = Admission()
    for second in range(60):
        urgent = queue(Tier.PRIORITY, 0, arrived=5 * second)
        admission.look([urgent, queue(Tier.STANDARD, 20)], [worker()], [], float(second))

    assert pytest.approx(2 * 20 * JOB_S, rel=0.05) == admission.wait_s(REF, Tier.STANDARD)


def test_workers_that_are_coming_help_once_they_are_ready() -> None:
    coming = (Coming(tuple(Tier), ("*",), workers=3, cold_start_s=5.0),)
    admission = seeing(queue(Tier.STANDARD, 250), workers=(worker(),), coming=coming)

    # 25 s of work: 5 s of it until they are there, then a quarter of the rest.
    assert 5 + (25 - 5) / 4 == admission.wait_s(REF, Tier.STANDARD)


def test_without_a_worker_that_is_ready_the_wait_is_at_least_its_start() -> None:
    coming = (Coming(tuple(Tier), ("*",), workers=2, cold_start_s=5.0),)
    admission = seeing(queue(Tier.STANDARD, 0), workers=(), coming=coming)

    assert 5 == admission.wait_s(REF, Tier.STANDARD)


def test_where_nobody_serves_or_will_nobody_can_tell() -> None:
    only_spot = worker(tiers=(Tier.SPOT,))

    assert None is seeing(workers=(only_spot,)).wait_s(REF, Tier.PRIORITY)
    assert None is seeing(workers=(only_spot,)).promised_s(REF, Tier.PRIORITY)


def test_a_draining_worker_does_nothing_more() -> None:
    leaving = worker("w2", state=WorkerState.DRAINING)
    admission = seeing(queue(Tier.STANDARD, 10), workers=(worker("w1"), leaving))

    assert 10 * JOB_S == admission.wait_s(REF, Tier.STANDARD)


def test_workers_that_do_less_than_they_say_are_found_out() -> None:
    # Five jobs end each second where ten should.
    admission = Admission()
    for second in range(60):
        sight = queue(Tier.STANDARD, 100, arrived=5 * second, ended=5 * second)
        admission.look([sight], [worker(jobs_held=8)], [], float(second))

    assert pytest.approx(0.5, rel=0.05) == admission.speed
    assert pytest.approx(2 * 100 * JOB_S, rel=0.05) == admission.wait_s(REF, Tier.STANDARD)


def test_workers_that_have_nothing_to_do_are_not_slow() -> None:
    admission = Admission()
    for second in range(60):
        admission.look([queue(Tier.STANDARD, 0, ended=second)], [worker(jobs_held=0)], [], float(second))

    assert 1.0 == admission.speed


def test_what_is_promised_leaves_room_for_chance_and_for_the_pass_that_runs() -> None:
    admission = seeing(queue(Tier.STANDARD, 100), workers=(worker(forward_ms=800),))

    assert pytest.approx(MARGIN * 100 * JOB_S + 0.8) == admission.promised_s(REF, Tier.STANDARD)
