import json

import pytest

from bench.__main__ import BENCHES, main
from bench.meter import Drained
from bench.report import Report, describe_machine, installed_versions, summarize
from bench.sleep_loop import sleep_loop


def test_a_report_is_one_json_object_with_five_parts() -> None:
    report = Report(bench="drain", figures={"ratio": 31.5}, spread={"ratio": (30.0, 33.0)})

    document = json.loads(report.to_json())

    assert list(document) == ["bench", "figures", "spread", "versions", "machine"]
    assert document["figures"] == {"ratio": 31.5}
    assert document["spread"] == {"ratio": [30.0, 33.0]}


def test_a_figure_is_the_median_of_its_runs_with_their_range() -> None:
    figures, spread = summarize([{"rate": 3.0}, {"rate": 100.0}, {"rate": 2.0}])

    assert figures == {"rate": 3.0}
    assert spread == {"rate": (2.0, 100.0)}


def test_the_table_shows_the_range_of_repeated_figures_only() -> None:
    report = Report(bench="drain", figures={"rate": 45_678.0, "jobs": 64}, spread={"rate": (1.5, 50_000.0)})

    lines = report.to_text().splitlines()

    assert lines == ["rate        45,678   [1.5 … 50,000]", "jobs            64"]


def test_versions_leave_out_what_is_not_installed() -> None:
    found = installed_versions(["redis", "no-such-package"])

    assert {"python", "redis"} == set(found)


def test_the_machine_is_described() -> None:
    machine = describe_machine()

    assert {"system", "processor", "cores"} == set(machine)
    assert int(machine["cores"]) >= 1


def test_a_rate_is_jobs_over_seconds() -> None:
    assert Drained(jobs=640, seconds=0.5, cpu_us={}).rate == 1280.0


def test_the_ideal_sleeps_as_often_as_it_is_told() -> None:
    assert sleep_loop(3, 1.0) >= 0.003


def test_without_a_name_every_benchmark_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    code = main([])

    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert code == 0
    assert names == list(BENCHES)


def test_an_unknown_benchmark_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["no-such-bench"])

    assert "no-such-bench" in capsys.readouterr().err
