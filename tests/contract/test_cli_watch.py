"""The commands that watch the system, against an API that serves real connections."""

import json
from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from headrace.cli import app
from headrace.errors import Unavailable
from headrace.keys import Keys
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from scheduler.embedded_server import free_port
from scheduler.leadership import Leadership
from scheduler.scaler import Scaler

Run = Callable[..., Result]


@pytest.fixture
def run(live_url: str) -> Run:
    """Runs `headrace …` against the API."""
    return lambda *arguments: CliRunner().invoke(app, [*arguments, "--url", live_url], catch_exceptions=False)


@pytest.fixture
def decided(connection: SyncRedis, settings: Settings, keys: Keys) -> None:
    """A scheduler has decided once."""
    leadership = Leadership(keys=keys, scheduler="s1", ttl_ms=60_000)
    scaler = Scaler(settings=settings, connection=connection, store=JobStore(keys), leadership=leadership)
    scaler.step(connection.run(leadership.take()), 0.0)


@pytest.mark.usefixtures("decided")
def test_scaling_shows_counts_reasons_and_changes(run: Run) -> None:
    lines = run("scaling").stdout.splitlines()

    assert lines[0].split()[:3] == ["CLASS", "WANTED", "READY"]
    assert lines[1].split()[:2] == ["on-demand", "1"]
    assert "  min_workers is 1" in lines
    assert lines[-1].split()[1:4] == ["on-demand", "0", "1"]


@pytest.mark.usefixtures("decided")
def test_scaling_as_json_is_what_the_api_says(run: Run) -> None:
    document = json.loads(run("scaling", "--json").stdout)

    assert [row["worker_class"] for row in document["classes"]] == ["on-demand", "spot"]


def test_scaling_before_any_decision_is_an_empty_table(run: Run) -> None:
    assert len(run("scaling").stdout.splitlines()) == 1


@pytest.mark.usefixtures("decided")
@pytest.mark.parametrize("arguments", [["--once"], []], ids=["asked for", "no terminal"])
def test_top_prints_one_picture(run: Run, arguments: list[str]) -> None:
    run("submit", "greeter", '{"text": "hi"}', "--tier", "spot")

    text = run("top", *arguments).stdout

    assert [title for title in ("Queues", "Worker classes", "Workers") if title in text.splitlines()]
    assert ["greeter@1", "spot", "1"] in [line.split()[:3] for line in text.splitlines()]


def test_top_as_json_is_one_object(run: Run) -> None:
    document = json.loads(run("top", "--json").stdout)

    assert set(document) == {"queues", "workers", "scaling"}


def test_top_without_an_api_says_so() -> None:
    with pytest.raises(Unavailable):
        CliRunner().invoke(app, ["top", "--once", "--url", f"http://127.0.0.1:{free_port()}"], catch_exceptions=False)
