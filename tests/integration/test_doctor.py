"""`headrace doctor` against a real server, a real registry and real ports."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import obstore
import pytest

from headrace.keys import Keys
from headrace.queue_store import QueueStore
from headrace.settings import Settings
from headrace.sync_redis import SyncRedis
from registry.object_store import ObjectStore
from registry.registry import Registry
from scheduler.doctor.finding import Finding, Verdict
from scheduler.doctor.rounds import make_rounds
from scheduler.embedded_server import free_port

CHECKOUT = Path(__file__).resolve().parents[2]
Doctor = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def settings(redis_url: str, keys: Keys, tmp_path: Path) -> Settings:
    return Settings(
        redis_url=redis_url, cell=keys.cell, data_dir=tmp_path, api_port=free_port(), flower_port=free_port()
    )


@pytest.fixture
def doctor(settings: Settings) -> Doctor:
    """The command, with the test's settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    names = ("redis_url", "cell", "data_dir", "api_port", "flower_port")
    given = {f"HEADRACE_{name.upper()}": str(getattr(settings, name)) for name in names}

    def run(*options: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "headrace.cli", "doctor", *options],
            env={**kept, **given, "HEADRACE_CONFIG": os.devnull, **more},
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def rounds(settings: Settings, **more: Any) -> dict[str, Finding]:
    return {found.check: found for found in make_rounds(settings, with_models=more.get("with_models", False))}


def test_all_that_there_is_to_check_is_checked(settings: Settings) -> None:
    found = rounds(settings)

    assert [
        found[check].verdict for check in ("redis persistence", "redis eviction", "redis mode", "clock", "disk")
    ] == [Verdict.OK] * 5
    well = {"redis persistence", "redis eviction", "redis mode", "clock", "disk", "api port", "flower port", "gpu"}
    assert well | {"object store"} <= {check for check, finding in found.items() if finding.verdict is Verdict.OK}
    assert {"models", "scheduler", "workers"} <= {
        check for check, finding in found.items() if finding.verdict is Verdict.WARN
    }


def test_a_queue_that_is_paused_is_named(settings: Settings, connection: SyncRedis, keys: Keys) -> None:
    before = rounds(settings)["queues"]
    connection.run(QueueStore(keys).pause("m@1:spot", reason="bad images"))

    after = rounds(settings)["queues"]

    assert (Verdict.OK, Verdict.WARN) == (before.verdict, after.verdict)
    assert after.detail.startswith("m@1:spot is paused by an operator since 2")
    assert after.detail.endswith(": bad images")


def test_it_leaves_nothing_behind(settings: Settings) -> None:
    rounds(settings)

    assert [path for path in settings.data_dir.rglob("*") if path.is_file()] == []


def test_a_port_that_something_else_has_is_a_failure(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = rounds(settings.model_copy(update={"api_port": taken.getsockname()[1]}))

    assert found["api port"].verdict is Verdict.FAIL
    assert "HEADRACE_API_PORT" in found["api port"].advice


def test_a_server_that_is_down_keeps_no_other_check_from_being_made(settings: Settings) -> None:
    found = rounds(settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"}))

    assert found["redis"].verdict is Verdict.FAIL
    assert found["object store"].verdict is Verdict.OK


def test_a_store_that_lets_the_second_writer_win_is_found(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def overwrite(self: ObjectStore, path: str, body: bytes) -> bool:
        obstore.put(self._store, path, body)
        return True

    monkeypatch.setattr(ObjectStore, "_put_new", overwrite)

    assert rounds(settings)["object store"].verdict is Verdict.FAIL


def test_released_models_are_loaded_if_asked(settings: Settings) -> None:
    registry = Registry(url=settings.registry_location)
    registry.push(CHECKOUT / "examples" / "numpy_scorer", name="scorer")
    broken = settings.data_dir / "broken"
    broken.mkdir()
    # Without the coefficients that it loads.
    shutil.copy(CHECKOUT / "examples" / "numpy_scorer" / "model.py", broken)
    registry.push(broken, name="broken")

    found = rounds(settings, with_models=True)

    assert found["models"].verdict is Verdict.OK
    assert found["model scorer@1"].verdict is Verdict.OK
    assert found["model broken@1"].verdict is Verdict.FAIL
    assert "coefficients.json" in found["model broken@1"].detail


def test_the_command_says_one_line_a_check_and_its_exit_code_tells(doctor: Doctor) -> None:
    good = doctor()
    bad = doctor(HEADRACE_REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    wrong = doctor(HEADRACE_LEASE_MS="soon")

    assert (good.returncode, bad.returncode, wrong.returncode) == (0, 1, 2), good.stdout + good.stderr
    assert "ok    redis persistence   appendonly yes, appendfsync everysec" in good.stdout
    assert "→ publish one: headrace models push DIR" in good.stdout
    assert "fail  redis" in bad.stdout
    assert "HEADRACE_LEASE_MS" in wrong.stderr


def test_for_programs_there_is_json(doctor: Doctor) -> None:
    findings = json.loads(doctor("--json").stdout)

    assert {"verdict", "check", "detail", "advice"} == findings[0].keys()
    assert "clock" in {finding["check"] for finding in findings}
