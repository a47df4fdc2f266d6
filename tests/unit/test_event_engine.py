"""The event engine: jobs and batches, what becomes of them when workers go, and that it agrees with the fluid."""

import numpy as np
import pytest

from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from scheduler.forecaster import Forecaster
from scheduler.pool_scaler import PoolScaler
from scheduler.rules import HeadraceRule
from scheduler.simulation import fluid
from scheduler.simulation.arrivals import STEP_S, Rate, jobs_of_rate
from scheduler.simulation.events import engine
from scheduler.simulation.events.crew import Speed
from scheduler.simulation.events.queues import Job, Queues
from scheduler.simulation.events.site import Site
from scheduler.simulation.plant import Engine, Outcome, Plant

REF, OTHER = ModelRef("model", 1), ModelRef("other", 1)
#: A full pass of 4 takes about 10 s.
SPEED = Speed(fixed_s=6.0, each_s=1.0, max_batch=4)


def site_of(*, workers: int = 1, **speeds: Speed) -> Site:
    known = {ModelRef(name, 1): speed for name, speed in (speeds or {"model": SPEED}).items()}
    site = Site(classes={"w": WorkerClass()}, speeds={"w": known}, seed=1)
    site.start("w", workers, 0.0, cold_start_s=0.0)
    return site


def jobs_at(*at_s: float, ref: ModelRef = REF, tier: Tier = Tier.STANDARD, first: int = 0) -> list[Job]:
    return [Job(number, at, ref, tier) for number, at in enumerate(at_s, start=first)]


def run(simulate: Engine, counts: np.ndarray, plant: Plant) -> Outcome:
    pools = counts.shape[1]
    forecaster = Forecaster(pools=pools, seasonal=False)
    return simulate(counts, PoolScaler(pools=pools, rule=HeadraceRule(), forecaster=forecaster), plant)


# --- jobs and batches --------------------------------------------------------------------------------------


def test_a_free_worker_takes_a_job_at_once_and_those_that_come_meanwhile_share_the_next_pass() -> None:
    site = site_of()
    site.submit(jobs_at(1.0, 2.0, 3.0, 4.0))

    site.run_until(60.0)

    first, *others = site.done
    assert (1.0, 0.0) == (first.began_s, first.wait_s)
    assert {first.ended_s} == {done.began_s for done in others}
    assert len({done.ended_s for done in others}) == 1


def test_no_pass_has_more_jobs_than_its_model_allows() -> None:
    site = site_of()
    site.submit(jobs_at(*[1.0] * 11))

    site.run_until(200.0)

    sizes = [sum(done.began_s == at for done in site.done) for at in {done.began_s for done in site.done}]
    assert 11 == sum(sizes)
    assert 4 == max(sizes)


def test_versions_never_share_a_pass() -> None:
    site = site_of(model=SPEED, other=SPEED)
    site.submit([*jobs_at(1.0, 2.0, 2.5), *jobs_at(2.2, 2.3, ref=OTHER, first=3)])

    site.run_until(100.0)

    by_pass = {(done.began_s, done.job.ref) for done in site.done}
    assert len(by_pass) == len({began_s for began_s, _ in by_pass})


def test_what_passes_take_is_learned_as_workers_learn_it() -> None:
    site = site_of()
    site.submit(jobs_at(*(number / 2 for number in range(200))))

    site.run_until(2_000.0)

    assert site.job_s("w")[str(REF)] == pytest.approx(SPEED.pass_s(4) / 4, rel=0.1)


def test_the_order_of_service_is_that_of_scores_with_a_lane_for_priority() -> None:
    queues = Queues()
    old_spot = jobs_at(*range(8), tier=Tier.SPOT)
    urgent = jobs_at(700.0, 701.0, tier=Tier.PRIORITY, first=8)
    for job in (*old_spot, *urgent):
        queues.arrive(job)

    claimed = queues.claim(("model@1:priority", "model@1:spot"), 4)

    assert [8, 0, 1, 2] == [job.number for job in claimed]


def test_a_worker_is_of_no_use_before_its_cold_start_is_over() -> None:
    site = site_of(workers=0)
    site.start("w", 1, 5.0, cold_start_s=30.0)
    site.submit(jobs_at(6.0))

    site.run_until(100.0)

    assert 35.0 == site.done[0].began_s


# --- workers that go ---------------------------------------------------------------------------------------


def test_a_drained_worker_finishes_its_pass_and_costs_nothing_afterwards() -> None:
    site = site_of()
    site.submit(jobs_at(1.0, 2.0))
    site.run_until(3.0)

    site.drain("w", 1, 3.0)
    site.run_until(100.0)

    assert [0] == [done.job.number for done in site.done]
    assert 1 == site.queues.waiting("model@1:standard")
    assert site.spent_s("w", 100.0) == site.done[0].ended_s


def test_the_idle_go_first() -> None:
    site = site_of(workers=2)
    site.submit(jobs_at(1.0))
    site.run_until(2.0)

    site.drain("w", 1, 2.0)

    assert [True] == [bool(worker.running) for worker in site.workers["w"]]


@pytest.mark.parametrize(("notice_s", "is_finished"), [(30.0, True), (3.0, False)])
def test_a_machine_that_is_taken_away_finishes_what_the_notice_leaves_time_for(
    notice_s: float, is_finished: bool
) -> None:
    site = site_of()
    site.submit(jobs_at(1.0))
    site.run_until(2.0)

    site.take_away("w", 1, 2.0, notice_s=notice_s)
    site.run_until(100.0)

    assert is_finished == bool(site.done)
    assert (not is_finished) == bool(site.queues.waiting("model@1:standard"))
    assert not site.workers["w"]


def test_a_job_whose_worker_was_taken_away_keeps_its_place() -> None:
    site = site_of()
    site.submit(jobs_at(1.0, 2.0))
    site.run_until(2.5)

    site.take_away("w", 1, 2.5, notice_s=0.0)
    site.run_until(2.5)

    assert [0, 1] == [job.number for job in site.queues.claim(("model@1:standard",), 2)]


# --- beside the fluid --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_both_engines_agree_on_an_hour_with_a_ramp() -> None:
    hours = np.arange(0, 3_600, STEP_S) / 3_600
    rate = Rate("ramp", np.interp(hours, (0, 0.3, 0.35, 0.7, 0.75), (8, 8, 36, 36, 8)))
    counts, plant = jobs_of_rate(rate, seeds=2).counts, Plant(cold_start_s=90.0)

    liquid, jobs = run(fluid.simulate, counts, plant), run(engine.simulate, counts, plant)

    assert jobs.attainment.mean() == pytest.approx(liquid.attainment.mean(), rel=0.03)
    assert jobs.worker_s.sum() == pytest.approx(liquid.worker_s.sum(), rel=0.03)
    assert jobs.mean_wait_s.mean() == pytest.approx(liquid.mean_wait_s.mean(), rel=0.03)
    assert liquid.attainment.mean() < 0.99
