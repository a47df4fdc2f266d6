"""What the simulator plays besides one pool: pools, machines that are taken away, overload; all in short."""

import gzip
import json
import statistics
from pathlib import Path

import pytest

from scheduler.simulate import main
from scheduler.simulation.events.machines import Machines, drawn_machines, read_machines
from scheduler.simulation.scenarios import classes, overload, pools, spot
from scheduler.simulation.scenarios.load import daily

pytestmark = pytest.mark.slow


# --- pools -------------------------------------------------------------------------------------------------


def test_one_pool_for_two_models_with_opposite_days_costs_less_than_two_pools() -> None:
    figures = pools.run(hours=4.0, seed=1, peaks=(0.4,)).figures

    assert figures["worker_hours_over_two_sized_pools"] <= 0.7
    assert figures["worker_hours_over_two_scaled_pools"] <= 0.7
    assert figures["in_time"] >= 0.99


def test_opposite_days_together_are_the_same_all_day() -> None:
    day, night = (daily(1.0, 5.0, hours=24, begins_h=begins_h).per_second for begins_h in (0.0, 12.0))

    assert day + night == pytest.approx(6.0)
    assert (day.min(), day.max()) == pytest.approx((1.0, 5.0))


# --- spot --------------------------------------------------------------------------------------------------


def test_machines_hold_until_they_change_and_may_be_gone_for_a_while(tmp_path: Path) -> None:
    file = tmp_path / "t.csv.gz"
    with gzip.open(file, "wt") as lines:
        lines.write("t_s,spot_nodes_available\n0,18\n60,19\n180,23\n")

    machines = read_machines(file)
    dark = machines.without(30.0, 100.0)

    assert [18, 18, 19, 23, 23] == [machines.at(now) for now in (0.0, 59.0, 60.0, 180.0, 999.0)]
    assert [18, 0, 0, 19, 23] == [dark.at(now) for now in (29.0, 30.0, 60.0, 100.0, 180.0)]


def test_drawn_machines_come_and_go() -> None:
    machines = drawn_machines(most=10, hours=20.0, seed=1)

    counts = [machines.at(minute * 60.0) for minute in range(20 * 60)]
    assert 10 == counts[0]
    assert 0 <= min(counts) < max(counts) <= 10


def test_bulk_on_machines_that_are_taken_away_is_cheap_and_in_time_and_priority_does_not_notice() -> None:
    # Enough but for a quarter of an hour; and in the outage none for two hours.
    zones = {"a": Machines([0.0, 4_000.0, 5_000.0], [8, 4, 8])}

    figures = spot.run(hours=3.0, seed=1, zones=zones, size=0.3).figures

    assert figures["bulk_cost_over_on_demand"] <= 0.6
    assert abs(figures["priority_points_lost"]) <= 0.5
    assert abs(figures["priority_points_lost_in_outage"]) <= 0.5
    assert figures["bulk_by_deadline_in_outage"] >= 0.999
    assert figures["bulk_by_deadline_if_nobody_stands_in"] < 0.999


# --- classes -----------------------------------------------------------------------------------------------


def test_each_model_runs_on_the_class_where_its_jobs_cost_least_which_nobody_knew_at_first() -> None:
    days = [classes.run(hours=1.5, seed=seed).figures for seed in (1, 2, 3)]

    def mean(name: str) -> float:
        return statistics.fmean(figures[name] for figures in days)

    assert min(figures["deep_on_large"] for figures in days) >= 0.95
    assert min(figures["flat_on_small"] for figures in days) >= 0.95
    assert min(figures["in_time"] for figures in days) >= 0.999
    # One day alone says little: a worker more or less of the other way's is a tenth.
    assert max(mean("cost_over_small_alone"), mean("cost_over_large_alone")) < 0.95
    assert mean("cost_over_both_whoever_is_free") < 0.95
    # Liquid and single jobs tell the same.
    assert max(abs(figures["cost_by_flow_over_by_jobs"] - 1) for figures in days) <= 0.05


# --- overload ----------------------------------------------------------------------------------------------


def test_of_three_times_too_much_as_much_is_done_as_can_be_and_promises_are_kept() -> None:
    figures = overload.run(hours=0.03, seed=1).figures

    assert figures["goodput_over_capacity"] >= 0.9
    assert figures["accepted_within_promise"] >= 0.95
    assert figures["accepted_within_limit"] >= 0.95
    assert figures["goodput_over_capacity_without"] < 0.5


# --- the command -------------------------------------------------------------------------------------------


def test_the_command_prints_a_table_and_one_object_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["--scenario", "overload", "--smoke", "--png", str(tmp_path / "overload.png")])

    head, *_, last = capsys.readouterr().out.splitlines()
    assert status == 0
    assert head.split()[:2] == ["way", "tier"]
    assert json.loads(last)["scenario"] == "overload"
    assert (tmp_path / "overload.png").read_bytes().startswith(b"\x89PNG")
