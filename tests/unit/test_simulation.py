"""The simulator: its engine against what can be counted by hand, its bound, and its command."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scheduler import level_errors
from scheduler.forecaster import Forecaster
from scheduler.pool_scaler import PoolScaler
from scheduler.rules import RHO, HeadraceRule
from scheduler.simulate import main
from scheduler.simulation.arrivals import (
    STEP_S,
    Array,
    Rate,
    generated_rate,
    is_rate,
    jobs_of_rate,
    jobs_of_requests,
    read_rate,
    read_requests,
)
from scheduler.simulation.fluid import LateMeter, simulate
from scheduler.simulation.front import Point, best, cost_at, interval
from scheduler.simulation.lower_bound import least_worker_s
from scheduler.simulation.plant import Outcome, Plant, turns_of

PLANT = Plant(cold_start_s=90.0)


def run(
    counts: Array,
    plant: Plant = PLANT,
    *,
    seasonal: bool = False,
    share: float = RHO,
    quantile: float | None = None,
) -> Outcome:
    pools = counts.shape[1]
    forecaster = Forecaster(pools=pools, seasonal=seasonal, quantile=quantile)
    return simulate(counts, PoolScaler(pools=pools, rule=HeadraceRule(target=share), forecaster=forecaster), plant)


def steady(steps: int, per_second: float, columns: int = 1) -> Array:
    return np.full((steps, columns), per_second * STEP_S)


def write_trace(file: Path, header: str, *rows: str) -> Path:
    with gzip.open(file, "wt") as lines:
        lines.write("\n".join((header, *rows)))
    return file


# --- the engine --------------------------------------------------------------------------------------------


def test_a_steady_load_costs_what_the_planned_share_says_and_is_never_late() -> None:
    outcome = run(steady(2_000, 18.0))

    # 9 workers' work at nine tenths of their time: 10 workers, give or take the tolerance.
    assert outcome.attainment[0] == 1.0
    assert outcome.worker_s[0] / (2_000 * STEP_S) == pytest.approx(10, abs=1.5)


def test_columns_do_not_touch_each_other() -> None:
    loads = np.concatenate((steady(400, 18.0), steady(400, 4.0)), axis=1)

    together, alone = run(loads), run(loads[:, 1:])

    assert list(together.alive[:, 1]) == list(alone.alive[:, 0])


def test_no_worker_works_before_its_cold_start_is_over() -> None:
    burst = steady(200, 2.0)
    burst[100:] = 40.0 * STEP_S

    backlogs = {cold_s: run(burst, Plant(cold_start_s=cold_s)).backlog.max() for cold_s in (30.0, 300.0)}

    assert backlogs[300.0] > 3 * backlogs[30.0]


def test_jobs_are_late_when_they_wait_longer_than_the_objective() -> None:
    meter = LateMeter(1, objective_s=30.0)
    # 150 jobs come in the first step; 10 are done in each: those after the first 30 wait longer than two steps.
    came, done = [150.0] + 19 * [0.0], 20 * [10.0]

    for jobs, finished in zip(came, done, strict=True):
        meter.add(np.array([jobs]), np.array([finished]))

    assert meter.finish()[0] == pytest.approx(120.0, abs=10.0)


def test_what_is_done_at_once_is_not_late() -> None:
    meter = LateMeter(1, objective_s=30.0)

    for _ in range(10):
        meter.add(np.array([5.0]), np.array([5.0]))

    assert meter.finish()[0] == 0.0


def test_changes_of_direction_are_counted() -> None:
    alive = np.array([[1], [2], [3], [3], [2], [2], [4], [4]], dtype=np.int32)

    assert turns_of(alive)[0] == 2


# --- what it is fed ----------------------------------------------------------------------------------------


def test_the_same_seed_is_the_same_day_and_another_is_not() -> None:
    rate = generated_rate(days=1).scaled_to(20.0)

    first, again = jobs_of_rate(rate, seeds=2).counts, jobs_of_rate(rate, seeds=1).counts

    assert (first[:, 0] == again[:, 0]).all()
    assert (first[:, 1] != first[:, 0]).any()


def test_arrivals_have_the_mean_of_their_rate() -> None:
    rate = Rate("steady", np.full(4_000, 20.0))

    assert jobs_of_rate(rate, seeds=1).counts.mean() / STEP_S == pytest.approx(20.0, rel=0.02)


def test_a_trace_of_rates_goes_straight_from_middle_to_middle(tmp_path: Path) -> None:
    file = write_trace(tmp_path / "t.csv.gz", "t_s,req_per_s", "0,10", "600,20", "1200,20")

    rate = read_rate(file)

    assert is_rate(file)
    assert rate.seconds == 1_800
    assert rate.per_second[round(600 / STEP_S)] == pytest.approx(15.0, abs=0.2)


def test_a_trace_of_requests_is_scaled_to_the_mean_that_is_asked_for(tmp_path: Path) -> None:
    file = write_trace(tmp_path / "t.csv.gz", "t_s,input_tokens", *(f"{at / 4},7" for at in range(4_000)))

    jobs = jobs_of_requests("t", read_requests(file), mean=10.0, seeds=2)

    assert not is_rate(file)
    assert jobs.counts.mean() / STEP_S == pytest.approx(10.0, rel=0.05)


# --- what it says ------------------------------------------------------------------------------------------


def test_nobody_can_pay_less_than_the_bound() -> None:
    rate = generated_rate(days=1).scaled_to(20.0)
    jobs = jobs_of_rate(rate, seeds=1)

    least_s = least_worker_s(jobs.counts[:, 0], PLANT, attainment=0.999)

    work_s = jobs.counts.sum() / PLANT.mu
    assert 0.99 * work_s < least_s < run(jobs.counts).worker_s[0]


def point(attainment: float, cost: float) -> Point:
    return Point("p", cost, np.array([attainment]), np.array([cost]), np.zeros(1))


def test_the_best_setting_is_the_cheapest_that_attains_the_goal() -> None:
    points = [point(0.99, 1.0), point(0.9995, 1.5), point(1.0, 2.0)]

    assert best(points, 0.999).mean_cost == 1.5
    assert cost_at(points, 0.9999) == 2.0
    assert best(points[:1], 0.999).mean_cost == 1.0


def test_seeds_that_agree_leave_no_doubt() -> None:
    assert interval(np.full(10, 3.0)) == 0.0
    assert interval(np.array([0.0, 1.0])) == pytest.approx(12.71 / 2, rel=0.01)


def test_where_bursts_come_and_go_the_mean_of_an_hour_costs_a_tenth_less_and_hardly_more_jobs_are_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bursts = np.random.default_rng(7).random((6 * 240, 4)) < 0.2
    counts = np.where(bursts, 60.0, 2.0) * STEP_S
    plant = PLANT._replace(window_s=300.0)

    heard = run(counts, plant, share=0.4, quantile=0.5)
    monkeypatch.setattr(level_errors, "MUST_SAVE", 1.0)
    never = run(counts, plant, share=0.4, quantile=0.5)

    assert heard.worker_s.sum() < 0.9 * never.worker_s.sum()
    assert heard.attainment.mean() > never.attainment.mean() - 0.001


@pytest.mark.slow
def test_the_seasonal_forecast_has_workers_ready_before_the_ramp_of_days_that_are_alike() -> None:
    jobs = jobs_of_rate(generated_rate(days=4).scaled_to(20.0), seeds=1, burst_cv=0.1)
    plant = Plant(cold_start_s=300.0)

    level, seasonal = (run(jobs.counts, plant, seasonal=seasonal) for seasonal in (False, True))

    # On the last day, whose ramp begins at noon.
    noon, cold_steps = round(3.5 * 86_400 / STEP_S), round(plant.cold_start_s / STEP_S)
    asked_for = noon - 2 * cold_steps
    assert seasonal.alive[asked_for, 0] > 2 * level.alive[asked_for, 0]
    assert seasonal.backlog[noon:].sum() <= level.backlog[noon:].sum() / 2
    assert seasonal.late[0] < level.late[0]


def test_the_command_prints_one_object_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--smoke", "--json", "--policy", "headrace,rate", "--png", str(tmp_path / "load.png")]

    status = main(options)

    document = json.loads(capsys.readouterr().out)
    assert status == 0
    assert [row["policy"] for row in document["rows"]] == ["headrace", "rate"]
    assert document["rows"][0]["attainment"] > 0.99
    assert (tmp_path / "load.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_runs_single_jobs_too(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--smoke", "--json", "--engine", "events", "--policy", "headrace", "--mean", "3", "--mu", "0.3"])

    document = json.loads(capsys.readouterr().out)
    assert status == 0
    assert (document["engine"], document["hours"]) == ("events", 0.5)
    assert document["rows"][0]["attainment"] > 0.9


def test_an_unknown_policy_is_refused() -> None:
    command = [sys.executable, "-m", "scheduler.simulate", "--smoke", "--policy", "prophet"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "no policy prophet" in done.stderr
