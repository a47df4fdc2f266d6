"""What batch sizes and waits come to, and which one is recommended."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from headrace.settings import get_settings
from registry.registry import Registry
from tests.model_folder import write_model
from workers.tune import app, bar
from workers.tuning import Row, batch_sizes, median_pass_s, recommend, rows, simulate

#: 10 ms and 1 ms an item: larger batches are better without end.
PASSES = {size: 0.010 + 0.001 * size for size in (1, 2, 4, 8, 16, 32)}


def row(max_batch: int, *, throughput: float, p99_ms: float, wait_ms: float = 0) -> Row:
    return Row(max_batch, wait_ms, 1.0, throughput, p99_ms)


@pytest.mark.parametrize(("most", "sizes"), [(1, [1]), (8, [1, 2, 4, 8]), (10, [1, 2, 4, 8, 10])])
def test_sizes_double_up_to_the_largest(most: int, sizes: list[int]) -> None:
    assert sizes == batch_sizes(most)


def test_a_pass_time_is_the_median_of_what_fits_the_budget() -> None:
    times = iter([0.0, 1.0, 1.0, 10.0, 10.0, 12.0])

    assert 2.0 == median_pass_s(lambda _: None, 4, clock=lambda: next(times), budget_s=5)


def test_a_job_that_comes_to_an_idle_worker_takes_one_pass() -> None:
    latencies = simulate(PASSES, [1.0, 2.0], max_batch=32, wait_s=0.0)

    assert pytest.approx([0.011, 0.011]) == latencies


def test_jobs_that_come_during_a_pass_share_the_next_one() -> None:
    latencies = simulate(PASSES, [1.0, 1.001, 1.002], max_batch=32, wait_s=0.0)

    assert pytest.approx([0.011, 0.022, 0.021]) == latencies


def test_beyond_what_single_passes_can_do_only_batches_keep_up() -> None:
    found = {row.max_batch: row for row in rows(PASSES, waits_ms=[0], rate_per_s=300, jobs=2000)}

    assert found[1].p99_ms > 1000
    assert found[32].p99_ms < 100
    assert pytest.approx(32 / 0.042) == found[32].throughput_per_s


def test_the_recommended_row_has_nearly_the_best_throughput_and_of_those_the_least_latency() -> None:
    found = [
        row(1, throughput=100, p99_ms=5),
        row(16, throughput=960, p99_ms=30),
        row(32, throughput=1000, p99_ms=50),
        row(32, throughput=1000, p99_ms=60, wait_ms=20),
    ]

    assert found[1] == recommend(found)


def test_with_a_bound_for_the_latency_only_rows_within_it_count() -> None:
    found = [row(8, throughput=500, p99_ms=10), row(32, throughput=1000, p99_ms=50)]

    assert found[0] == recommend(found, p99_ms=20)
    assert found[1] == recommend(found, p99_ms=1)


def test_a_bar_shows_a_share() -> None:
    assert (12, 6, 1) == (len(bar(1)), len(bar(0.5)), len(bar(0)))


def run_tune(*args: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    return result.exit_code, result.output


def test_a_folder_is_tuned(tmp_path: Path) -> None:
    code, output = run_tune(write_model(tmp_path), "--seconds", "0", "--json")

    found = json.loads(output)
    assert code == 0
    assert [1, 2, 4, 8] == sorted({row["max_batch"] for row in found["rows"]})
    assert 1 == sum(row["recommended"] for row in found["rows"])
    assert all(row["throughput_per_s"] > 0 and row["p99_ms"] > 0 for row in found["rows"])


def test_a_published_model_is_tuned_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()
    Registry(url=get_settings().registry_location).push(write_model(tmp_path / "source"), name="doubler")

    code, output = run_tune("doubler", "--seconds", "0")

    get_settings.cache_clear()
    assert code == 0
    assert "◀" in output
    assert "max_batch=" in output


def test_what_is_neither_a_folder_nor_a_model_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path))
    get_settings.cache_clear()

    code, output = run_tune("nobody")

    get_settings.cache_clear()
    assert code == 1
    assert "neither a folder nor a released model" in output
