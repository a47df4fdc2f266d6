"""Every benchmark in its short form: does it run, and do its figures have the right shape? Never how fast it was."""

import json

import pytest

from bench.__main__ import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_drain_of_no_op_jobs_compares_with_celery_batches(capsys: pytest.CaptureFixture[str]) -> None:
    document = _smoke(["drain", "--model", "noop"], capsys)

    figures = document["figures"]
    expected = {"ratio_vs_celery_batches", "headrace_jobs_per_s", "celery_batches_jobs_per_s"}
    assert expected <= set(figures)
    parts = {"headrace_redis", "headrace_parent", "headrace_child", "celery_batches_redis", "celery_batches_worker"}
    assert {f"{part}_cpu_us_per_job" for part in parts} <= set(figures)
    assert all(value > 0 for value in figures.values())
    assert "celery-batches side: celery" in document["versions"]


def test_drain_of_sleeping_jobs_compares_with_the_bare_sleep(capsys: pytest.CaptureFixture[str]) -> None:
    document = _smoke(["drain", "--model", "sleep", "--forward-ms", "5", "--max-batch", "16"], capsys)

    figures = document["figures"]
    assert figures["ratio_to_ideal"] > 0
    assert (figures["forward_ms"], figures["max_batch"]) == (5, 16)


def test_embed_compares_with_the_bare_loop(capsys: pytest.CaptureFixture[str]) -> None:
    figures = _smoke(["embed"], capsys)["figures"]

    assert (64, 8, 1) == (figures["jobs"], figures["batch"], figures["pairs"])
    assert min(figures["ratio_to_bare"], figures["batched_over_single"], figures["headrace_jobs_per_s"]) > 0
    assert 0 < figures["forward_share"] <= 1
    assert 0 < figures["mean_batch"] <= 8


def test_gpu_says_that_there_is_none_or_measures(capsys: pytest.CaptureFixture[str]) -> None:
    document = _smoke(["gpu"], capsys)

    if document["figures"]["cuda_devices"]:
        assert min(document["figures"][f"{name}_ratio_to_bare"] for name in ("embedder", "convnet")) > 0
    else:
        assert "no CUDA device" in document["bench"]


def test_tiers_show_what_urgent_jobs_wait_beside_a_flood(capsys: pytest.CaptureFixture[str]) -> None:
    document = _smoke(["tiers"], capsys)

    figures = document["figures"]
    assert figures["priority_wait_p50_ms"] <= figures["priority_wait_p99_ms"]
    assert figures["spot_wait_p50_ms"] <= figures["spot_wait_p99_ms"]
    assert all(0 <= figures[f"{age}_spot_share_under_priority_overload"] <= 1 for age in ("old", "new"))


def test_scaling_is_set_beside_its_simulation(capsys: pytest.CaptureFixture[str]) -> None:
    figures = _smoke(["scaling"], capsys)["figures"]

    assert 0 < figures["worker_seconds_ratio_to_simulation"]
    assert 0 == figures["jobs_failed"] == figures["jobs_run_again"]
    assert 1 <= figures["most_workers"] <= 2


def test_overload_shows_who_is_refused_and_what_becomes_of_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    figures = _smoke(["overload"], capsys)["figures"]

    assert 0 < figures["goodput_share_of_capacity"]
    assert 0 == figures["accepted_that_failed"]
    assert all(0 <= figures[f"{tier}_refused_share"] <= 1 for tier in ("priority", "standard", "spot"))


def test_eta_tells_what_share_of_jobs_kept_their_estimates(capsys: pytest.CaptureFixture[str]) -> None:
    figures = _smoke(["eta"], capsys)["figures"]

    assert 600 == figures["jobs"]
    assert 0 < figures["share_before_p50"] <= figures["share_before_p90"] <= 1
    assert 0 < figures["busy_share"] < 1


def test_durability_tells_what_waiting_for_the_disk_costs(capsys: pytest.CaptureFixture[str]) -> None:
    document = _smoke(["durability"], capsys)

    figures = document["figures"]
    modes = {"everysec", "strict_everysec", "strict_always"}
    expected = {f"{mode}_{figure}" for mode in modes for figure in ("per_s", "p50_ms", "alone_p50_ms")}
    assert expected | {"strict_everysec_over_everysec", "strict_always_over_everysec"} == set(figures)
    assert all(value > 0 for value in figures.values())


def test_poison_shows_that_only_the_guilty_pay(capsys: pytest.CaptureFixture[str]) -> None:
    figures = _smoke(["poison"], capsys)["figures"]

    assert (31, 1, 1) == tuple(
        figures[f"raise_{name}"] for name in ("mates_succeeded", "most_attempts_of_a_mate", "guilty_failed")
    )
    assert figures["raise_runs"] <= 12
    assert (31, 1, 1) == tuple(
        figures[f"exit_{name}"] for name in ("mates_succeeded", "most_attempts_of_a_mate", "guilty_failed")
    )
    assert (0, 0) == (figures["oom_at_or_above_an_earlier_one"], figures["oom_lost"])


def test_latency_counts_jobs_in_round_trips_and_empty_requests(capsys: pytest.CaptureFixture[str]) -> None:
    figures = _smoke(["latency"], capsys)["figures"]

    assert min(figures["store_p50_over_ping"], figures["store_then_wait_p50_over_then_ping"]) > 0
    assert figures["http_p50_over_empty_route"] > 0
    assert figures["store_p99_ms"] >= figures["store_p50_ms"]


def test_http_compares_with_an_empty_route_and_with_celery_batches(capsys: pytest.CaptureFixture[str]) -> None:
    document = _smoke(["http"], capsys)

    figures = document["figures"]
    assert figures["post_cpu_over_empty_route"] > 0
    assert figures["submit_wait_vs_celery_batches"] > 0
    sides = ("post", "empty_route", "submit_wait", "celery_batches")
    assert all(figures[f"{side}_{figure}"] > 0 for side in sides for figure in ("per_s", "cpu_us", "p99_ms"))
    assert "celery-batches side: fastapi" in document["versions"]


def test_mixed_shows_what_priority_jobs_wait_beyond_their_own_pass(capsys: pytest.CaptureFixture[str]) -> None:
    figures = _smoke(["mixed"], capsys)["figures"]

    assert figures["priority_p50_batches"] <= figures["priority_p99_batches"]
    assert figures["unlike_priority_p50_batches"] <= figures["unlike_priority_p99_batches"]


def test_fairness_compares_the_work_of_two_tenants(capsys: pytest.CaptureFixture[str]) -> None:
    figures = _smoke(["fairness"], capsys)["figures"]

    assert min(figures[f"work_ratio_{name}"] for name in ("alike", "large_costly", "small_costly")) > 0
    assert figures["idle_wait_batches_max"] >= 0


def test_balance_compares_shares_with_speeds(capsys: pytest.CaptureFixture[str]) -> None:
    figures = _smoke(["balance"], capsys)["figures"]

    assert figures["share_error"] >= 0
    assert figures["end_gap_batches"] >= 0
    assert figures["busy_max_over_min"] >= 1


def test_lengths_compare_batches_by_length_with_batches_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    figures = _smoke(["lengths"], capsys)["figures"]

    assert figures["fifo_over_ours"] > 0
    assert figures["padding_share"] < figures["fifo_padding_share"]


def test_lengths_on_a_curve_come_close_to_batches_without_filling(capsys: pytest.CaptureFixture[str]) -> None:
    figures = _smoke(["lengths", "--model", "curve"], capsys)["figures"]

    over_packed = [value for name, value in figures.items() if name.startswith("busy_over_packed")]
    over_single = [value for name, value in figures.items() if name.startswith("busy_over_single")]
    assert 2 == len(over_packed) == len(over_single)
    assert 1 <= min(over_packed)
    assert max(over_packed) <= 1.1
    assert max(over_single) < 1


def test_residency_spends_less_time_on_loading_than_least_recently_used(capsys: pytest.CaptureFixture[str]) -> None:
    figures = _smoke(["residency"], capsys)["figures"]

    assert 0 < figures["load_seconds_vs_lru"] < 1
    assert figures["load_share"] <= 1 / 3
    assert 0 < figures["load_seconds_with_host_memory_vs_without"] < 1
    assert figures["mean_wait_with_host_memory_s"] < figures["mean_wait_s"]
    assert figures["child_loads"] >= 8
    assert figures["child_jobs_lost"] == 0
    assert 0 < figures["child_memory_over_budget"] <= 1


def test_webhooks_compare_a_courier_with_the_bare_client(capsys: pytest.CaptureFixture[str]) -> None:
    figures = _smoke(["webhooks"], capsys)["figures"]

    assert min(figures[name] for name in ("ratio_to_bare_client", "deliveries_per_s", "bare_client_per_s")) > 0
    assert min(figures["healthy_p95_ms"], figures["healthy_p95_among_hostile_ms"]) > 0
    assert {"drain_slowdown_at_100_per_s", "commit_hook_redis_us_per_job"} <= set(figures)


def test_backlog_compares_counting_jobs_with_knowing_their_costs(capsys: pytest.CaptureFixture[str]) -> None:
    figures = _smoke(["backlog"], capsys)["figures"]

    assert 0 < figures["by_sum_1000"] < figures["by_count_1000"] < 1
    assert 0 < figures["by_count_10"] < 1


def test_cold_start_compares_a_fresh_process_with_a_spare(capsys: pytest.CaptureFixture[str]) -> None:
    figures = _smoke(["cold_start"], capsys)["figures"]

    assert min(figures["cold_total_s"], figures["warm_total_s"], figures["warm_to_cold"]) > 0


def _smoke(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, float]]:
    code = main([*arguments, "--smoke", "--json"])

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert len(lines) == 1
    document: dict[str, dict[str, float]] = json.loads(lines[0])
    assert set(document["figures"]) >= set(document["spread"])
    return document
