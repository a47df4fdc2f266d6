"""Registered receivers by the clients and the command line."""

import base64

import pytest
from typer.testing import CliRunner

from headrace.async_client import AsyncClient
from headrace.cli import app
from headrace.client import Client
from headrace.settings import Settings

URL = "https://example.com/done"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With a key that seals."""
    return settings.model_copy(update={"webhook_key": base64.b64encode(b"k" * 32).decode()})


def test_the_command_line_registers_shows_stops_and_forgets(live_url: str) -> None:
    def run(*words: str) -> list[str]:
        done = CliRunner().invoke(app, ["webhooks", *words, "--url", live_url])
        assert done.exit_code == 0, done.output
        return done.stdout.splitlines()

    endpoint_id, secret = run("register", URL, "--event", "job.failed")
    run("disable", endpoint_id)
    stopped = run("endpoints")[1].split()
    run("enable", endpoint_id)
    enabled = run("endpoints")[1].split()
    [rotated] = run("rotate", endpoint_id)
    run("forget", endpoint_id)

    assert [endpoint_id, URL, "job.failed", "disabled"] == stopped[:4]
    assert enabled[3] == "enabled"
    assert secret.startswith("whsec_")
    assert rotated.startswith("whsec_")
    assert secret != rotated
    assert len(run("endpoints")) == 1


def test_the_command_line_and_the_client_say_what_came_of_a_test(
    live_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.endpoint_tests._TAKEN_WITHIN_S", 0.3)  # nobody will
    with Client(live_url) as client:
        made = client.register_webhook(URL)
        tested = client.test_webhook(made["id"])
    printed = CliRunner().invoke(app, ["webhooks", "test", made["id"], "--url", live_url])

    assert (False, "no_courier") == (tested["delivered"], tested["outcome"])
    assert (1, "no_courier\n") == (printed.exit_code, printed.stdout)


def test_the_client_means_the_same(live_url: str) -> None:
    with Client(live_url) as client:
        made = client.register_webhook(URL, events=["job.failed"])
        changed = client.change_webhook(made["id"], include="link")
        listed = client.webhook_endpoints()
        client.forget_webhook(made["id"])

        assert ("link", ["job.failed"]) == (changed["include"], changed["events"])
        assert [changed] == listed
        assert [] == client.webhook_endpoints()


async def test_the_async_client_means_the_same(live_url: str) -> None:
    async with AsyncClient(live_url) as client:
        made = await client.register_webhook(URL)
        rotated = await client.rotate_webhook(made["id"])
        changed = await client.change_webhook(made["id"], enabled=False)
        await client.forget_webhook(made["id"])

        assert made["secret"] != rotated["secret"]
        assert changed["stopped"] == "disabled"
        assert [] == await client.webhook_endpoints()
