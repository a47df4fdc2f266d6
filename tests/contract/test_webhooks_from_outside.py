"""Webhooks by the clients and the command line."""

import json
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from headrace.async_client import AsyncClient
from headrace.cli import app, exit_code
from headrace.client import Client
from headrace.errors import InvalidInput
from headrace.keys import Keys
from headrace.settings import get_settings

URL = "https://example.com/done"
SecretCommand = Callable[..., Result]


@pytest.fixture
def secret_command(monkeypatch: pytest.MonkeyPatch, redis_url: str, keys: Keys) -> Iterator[SecretCommand]:
    """`headrace webhooks secret …` on the test's own cell."""
    monkeypatch.setenv("HEADRACE_CELL", keys.cell)
    get_settings.cache_clear()
    yield lambda *options: CliRunner().invoke(app, ["webhooks", "secret", "--redis", redis_url, *options])
    get_settings.cache_clear()


def test_the_client_names_a_webhook_and_lists_deliveries(live_url: str) -> None:
    with Client(live_url) as client:
        job = client.submit("greeter", {"text": "hi"}, webhook=URL, tier="spot")
        job.cancel()

        assert job.record().document["webhook"]["url"] == URL
        assert [job.id] == [delivery["job"]["id"] for delivery in client.webhook_deliveries()]


async def test_the_async_client_means_the_same(live_url: str) -> None:
    async with AsyncClient(live_url) as client:
        job = await client.submit("greeter", {"text": "hi"}, webhook=URL)
        await job.cancel()

        assert [job.id] == [delivery["job"]["id"] for delivery in await client.webhook_deliveries()]


def test_a_refused_url_comes_back_with_its_field(live_url: str) -> None:
    with Client(live_url) as client, pytest.raises(InvalidInput) as refused:
        client.submit("greeter", {"text": "hi"}, webhook="https://10.0.0.1/")

    assert refused.value.fields[0].pointer == "/webhook/url"


def test_the_command_line_submits_with_a_webhook_and_lists_its_delivery(live_url: str) -> None:
    run = CliRunner().invoke
    submitted = run(app, ["submit", "greeter", '{"text": "hi"}', "--webhook", URL, "--url", live_url])
    job_id = submitted.stdout.strip()
    run(app, ["cancel", job_id, "--url", live_url])

    table = run(app, ["webhooks", "deliveries", "--url", live_url]).stdout
    document = json.loads(run(app, ["webhooks", "deliveries", "--json", "--url", live_url]).stdout)

    assert [f"{job_id}-1", URL, "pending", "0"] == table.splitlines()[1].split()[:4]
    assert (document["job"]["id"], document["status"]) == (job_id, "pending")


def test_a_delivery_is_replayed_by_client_and_command_line(live_url: str) -> None:
    with Client(live_url) as client:
        job = client.submit("greeter", {"text": "hi"}, webhook=URL)
        job.cancel()
        replayed = client.replay_webhook(f"{job.id}-1")
        together = client.replay_webhooks(status="pending")
    printed = CliRunner().invoke(app, ["webhooks", "replay", f"{job.id}-1", "--url", live_url])
    every = CliRunner().invoke(app, ["webhooks", "replay", "--all", "--status", "pending", "--url", live_url])

    assert (job.id, "pending") == (replayed["job"]["id"], replayed["status"])
    assert [f"{job.id}-1"] == together == printed.stdout.split() == every.stdout.split()


async def test_the_async_client_replays_too(live_url: str) -> None:
    async with AsyncClient(live_url) as client:
        job = await client.submit("greeter", {"text": "hi"}, webhook=URL)
        await job.cancel()

        assert f"{job.id}-1" == (await client.replay_webhook(f"{job.id}-1"))["id"]
        assert [] == await client.replay_webhooks(since="2100-01-01T00:00:00Z")


@pytest.mark.parametrize("options", [[], ["c1-x-1", "--all"]])
def test_what_to_replay_must_be_said_once(options: list[str]) -> None:
    refused = CliRunner().invoke(app, ["webhooks", "replay", *options])

    assert isinstance(refused.exception, InvalidInput)


def test_the_secret_stays_until_it_is_rotated(secret_command: SecretCommand) -> None:
    first, again = secret_command(), secret_command()
    rotated = secret_command("--rotate")

    assert first.stdout.startswith("whsec_")
    assert first.stdout == again.stdout != rotated.stdout
    assert "signs along" in rotated.stderr


def test_after_a_rotation_both_secrets_sign(secret_command: SecretCommand) -> None:
    old = secret_command().stdout.strip()
    secret_command("--rotate")

    signing = json.loads(secret_command("--json").stdout)["signing"]
    assert len(signing) == 2
    assert signing[1] == old


def test_after_a_leak_the_old_secret_signs_no_more(secret_command: SecretCommand) -> None:
    secret_command()
    new = secret_command("--rotate", "--now").stdout.strip()

    assert [new] == json.loads(secret_command("--json").stdout)["signing"]


def test_now_without_rotate_is_refused(secret_command: SecretCommand) -> None:
    refused = secret_command("--now")

    assert isinstance(refused.exception, InvalidInput)
    assert exit_code(refused.exception) == 2
