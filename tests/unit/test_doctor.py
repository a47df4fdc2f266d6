"""What `headrace doctor` makes of what it sees."""

from pathlib import Path

import pytest

from headrace.worker_class import WorkerClass
from scheduler.doctor.clock import judge_skew
from scheduler.doctor.finding import Verdict
from scheduler.doctor.gpus import judge_gpus
from scheduler.doctor.host import judge_room, look_at_disk
from scheduler.doctor.models import judge_check
from scheduler.doctor.redis_server import judge_server
from scheduler.doctor.redis_versions import judge_version

GOOD = {
    "valkey_version": "9.1.0",
    "redis_version": "7.2.4",
    "role": "master",
    "cluster_enabled": "0",
    "aof_enabled": "1",
    "maxmemory_policy": "noeviction",
    "used_memory": "1000000",
    "maxmemory": "100000000",
}
CONFIG = {"appendfsync": "everysec", "hash-max-listpack-value": "64", "hash-max-listpack-entries": "128"}


def verdicts(info: dict[str, str], config: dict[str, str] = CONFIG) -> dict[str, Verdict]:
    """Check -> verdict, of those that are not well."""
    return {found.check: found.verdict for found in judge_server(info, config) if found.verdict is not Verdict.OK}


def test_a_server_as_it_should_be_gives_no_work() -> None:
    assert verdicts(GOOD) == {}


@pytest.mark.parametrize(
    ("change", "check", "verdict"),
    [
        ({"cluster_enabled": "1"}, "redis mode", Verdict.FAIL),
        ({"role": "slave"}, "redis mode", Verdict.FAIL),
        ({"aof_enabled": "0"}, "redis persistence", Verdict.FAIL),
        ({"aof_last_write_status": "err"}, "redis persistence", Verdict.FAIL),
        ({"maxmemory_policy": "allkeys-lru"}, "redis eviction", Verdict.FAIL),
        ({"maxmemory": "0"}, "redis memory", Verdict.WARN),
        ({"used_memory": "90000000"}, "redis memory", Verdict.WARN),
        ({"valkey_version": "8.1.3"}, "redis version", Verdict.WARN),
    ],
)
def test_what_is_wrong_with_a_server_is_found(change: dict[str, str], check: str, verdict: Verdict) -> None:
    assert {check: verdict} == verdicts({**GOOD, **change})


@pytest.mark.parametrize(
    ("config", "check"),
    [
        ({**CONFIG, "appendfsync": "no"}, "redis persistence"),
        ({**CONFIG, "hash-max-listpack-value": "32"}, "redis settings"),
        ({}, "redis settings"),
    ],
)
def test_settings_that_cost_memory_or_jobs_are_warned_of(config: dict[str, str], check: str) -> None:
    assert {check: Verdict.WARN} == verdicts(GOOD, config)


@pytest.mark.parametrize(
    ("server", "version", "verdict", "word"),
    [
        ("redis", "6.2.19", Verdict.FAIL, "upgrade"),
        ("redis", "7.0.15", Verdict.FAIL, "upgrade"),
        ("redis", "7.2.10", Verdict.WARN, "7.2.11"),
        ("redis", "7.4.2", Verdict.WARN, "7.4.3"),
        ("redis", "8.2.2", Verdict.WARN, "8.6.3"),
        ("redis", "8.6.3", Verdict.OK, ""),
        ("redis", "9.0", Verdict.OK, ""),
        ("valkey", "7.2.10", Verdict.WARN, "7.2.11"),
        ("valkey", "8.1.4", Verdict.OK, ""),
        ("valkey", "9.1.0", Verdict.OK, ""),
        ("redis", "unstable", Verdict.WARN, "make sure"),
    ],
)
def test_versions_are_known_by_their_faults(server: str, version: str, verdict: Verdict, word: str) -> None:
    found = judge_version(server, version)

    assert {verdict} == {finding.verdict for finding in found}
    assert word in " ".join(finding.advice for finding in found)


@pytest.mark.parametrize(
    ("skew_s", "verdict", "words"),
    [
        (0.2, Verdict.OK, "0.200 s ahead"),
        (-0.7, Verdict.WARN, "0.700 s behind"),
        (9.0, Verdict.FAIL, "9.000 s ahead"),
    ],
)
def test_clocks_may_differ_by_little(skew_s: float, verdict: Verdict, words: str) -> None:
    found = judge_skew(skew_s)

    assert (verdict, True) == (found.verdict, words in found.detail)


@pytest.mark.parametrize(
    ("free_bytes", "verdict"), [(10**11, Verdict.OK), (10**9, Verdict.WARN), (10**8, Verdict.FAIL)]
)
def test_room_on_the_disk(free_bytes: int, verdict: Verdict) -> None:
    assert verdict is judge_room(Path("/data"), free_bytes).verdict


def test_a_data_folder_that_is_not_there_yet_is_judged_by_its_parent(tmp_path: Path) -> None:
    assert str(tmp_path) in look_at_disk(tmp_path / "not" / "yet").detail


def test_gpus_that_are_named_must_be_listed() -> None:
    listing = "GPU 0: NVIDIA H100 (UUID: GPU-1)\nGPU 1: NVIDIA H100 (UUID: GPU-2)\n"

    def judge(*devices: str, text: str = listing) -> Verdict:
        return judge_gpus({"gpu": WorkerClass(device="cuda", devices=devices)}, text).verdict

    assert judge() is Verdict.OK
    assert judge("GPU-1", "GPU-2") is Verdict.OK
    assert judge("GPU-1", "GPU-3") is Verdict.FAIL
    assert judge(text="") is Verdict.FAIL


def test_a_model_that_does_not_load_is_told_in_its_own_words() -> None:
    good = judge_check("model m@1", "cpu", 0, '{"findings": []}', "")
    wrong = judge_check(
        "model m@1", "cpu", 1, '{"findings": [{"check": "a", "ok": false, "detail": "rows differ"}]}', ""
    )
    broken = judge_check("model m@1", "cpu", 1, "", "warning\nheadrace models check: load failed: no weights\n")

    assert [Verdict.OK, Verdict.FAIL, Verdict.FAIL] == [found.verdict for found in (good, wrong, broken)]
    assert "rows differ" in wrong.detail
    assert "no weights" in broken.detail
