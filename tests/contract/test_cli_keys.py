"""API keys from the command line, and shown by clients."""

import json
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from headrace.cli import app
from headrace.client import Client
from headrace.errors import InvalidInput, KeyNotFound, Unauthenticated
from headrace.keys import Keys
from headrace.settings import get_settings
from headrace.sync_redis import SyncRedis

Run = Callable[..., Result]

#: A tenant of whom nothing was set.
NOTHING = {"tenant": "acme", "weight": 1.0, "requests": None, "waiting_jobs": None, "running_jobs": None}


@pytest.fixture
def run(redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Runs `headrace keys …` on the test's cell."""
    monkeypatch.setenv("HEADRACE_CELL", keys.cell)
    monkeypatch.setenv("HEADRACE_REDIS_URL", redis_url)
    get_settings.cache_clear()

    def run(*arguments: str, about: str = "keys") -> Result:
        return CliRunner().invoke(app, [about, *arguments])

    yield run
    get_settings.cache_clear()


def test_a_key_is_made_listed_and_revoked(run: Run) -> None:
    text = run("create", "--tenant", "acme", "--scope", "read", "--name", "nightly", "--expires-in-days", "7").stdout

    [listed] = run("ls").stdout.splitlines()[1:]
    key_id = text.split("_")[1]
    assert text.startswith("sk_")
    assert {key_id, "acme", "read", "active", "nightly"} <= set(listed.split())
    assert run("revoke", key_id).exit_code == 0
    assert "revoked" in run("ls").stdout


def test_the_list_for_programs_has_everything_but_what_is_kept_of_the_secret(run: Run) -> None:
    made = json.loads(run("create", "--json").stdout)

    listed = json.loads(run("ls", "--json").stdout)

    assert (made["id"], "default", ["read", "submit"]) == (listed["id"], listed["tenant"], listed["scopes"])
    assert "digest" not in listed


def test_what_no_key_can_be_made_of_is_said(run: Run) -> None:
    refused, unknown = run("create", "--tenant", "A/B"), run("revoke", "nobody")

    assert isinstance(refused.exception, InvalidInput)
    assert isinstance(unknown.exception, KeyNotFound)


def test_a_client_shows_the_key_of_the_settings_or_the_one_it_is_given(
    live_url: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = run("create").stdout.strip()

    with Client(live_url) as client, pytest.raises(Unauthenticated):
        client.jobs()
    with Client(live_url, api_key=text) as client:
        assert client.jobs() == []
    monkeypatch.setenv("HEADRACE_API_KEY", text)
    get_settings.cache_clear()
    with Client(live_url) as client:
        assert client.jobs() == []
        assert client.map("greeter", []) == []


def test_the_key_of_a_client_is_in_no_log_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_API_KEY", "sk_0123456789ab_secret")
    get_settings.cache_clear()

    assert "sk_0123456789ab_secret" in get_settings().log_style.secrets
    assert "secret" not in repr(get_settings())
    get_settings.cache_clear()


def test_a_key_is_given_a_rate_listed_and_freed_of_it(run: Run) -> None:
    made = json.loads(run("create", "--rate", "5", "--json").stdout)

    assert "5/s, 100 at once" in run("ls").stdout
    changed = json.loads(run("limit", made["id"], "--rate", "2.5", "--burst", "4", "--json").stdout)
    assert changed["requests"] == {"per_s": 2.5, "burst": 4}
    assert run("limit", made["id"]).stderr.endswith("may ask 2.5/s, 4 at once\n")
    assert json.loads(run("limit", made["id"], "--rate", "0", "--json").stdout)["requests"] is None
    assert json.loads(run("ls", "--json").stdout)["requests"] is None


@pytest.mark.parametrize("about", ["keys", "tenants"])
def test_a_burst_without_a_rate_is_refused(run: Run, about: str) -> None:
    refused = run("limit", "acme", "--burst", "5", about=about)

    assert isinstance(refused.exception, InvalidInput)
    assert "--rate" in str(refused.exception)


def test_a_rate_of_no_key_is_refused(run: Run) -> None:
    assert isinstance(run("limit", "nobody", "--rate", "5").exception, KeyNotFound)


def test_secrets_are_kept_nowhere_in_redis(run: Run, connection: SyncRedis, keys: Keys) -> None:
    secret = run("create").stdout.strip().split("_")[2].encode()

    kept = connection.client.hvals(keys.api_keys)

    assert not any(secret in (value if isinstance(value, bytes) else value.encode()) for value in kept)


def test_a_tenant_is_given_a_weight_and_listed(run: Run, connection: SyncRedis, keys: Keys) -> None:
    assert run("weigh", "acme", "3", about="tenants").exit_code == 0

    listed = [json.loads(line) for line in run("ls", "--json", about="tenants").stdout.splitlines()]
    assert listed == [{**NOTHING, "weight": 3.0}]
    assert connection.client.hget(keys.weights, "acme") == b"3.0"
    assert run("ls", about="tenants").stdout.split() == [
        "TENANT",
        "WEIGHT",
        "REQUESTS",
        "WAITING",
        "RUNNING",
        "acme",
        "3",
    ]


@pytest.mark.parametrize(("tenant", "weight"), [("A/B", "1"), ("acme", "0"), ("acme", "-1"), ("acme", "nan")])
def test_a_weight_that_is_none_is_refused(run: Run, tenant: str, weight: str) -> None:
    assert run("weigh", tenant, "--", weight, about="tenants").exit_code != 0
    assert run("ls", "--json", about="tenants").stdout == ""


def test_a_tenant_is_given_a_rate_and_listed(run: Run) -> None:
    assert run("limit", "acme", "--rate", "5", "--burst", "20", about="tenants").exit_code == 0

    [line] = run("ls", "--json", about="tenants").stdout.splitlines()
    assert json.loads(line) == {**NOTHING, "requests": {"per_s": 5.0, "burst": 20}}
    assert "5/s, 20 at once" in run("ls", about="tenants").stdout
    assert run("limit", "A/B", "--rate", "5", about="tenants").exit_code != 0


def test_a_tenant_is_given_caps_and_freed_of_them(run: Run) -> None:
    run("limit", "acme", "--waiting", "500", "--running", "0", about="tenants")
    run("limit", "*", "--running", "64", about="tenants")

    rows = [line.split() for line in run("ls", about="tenants").stdout.splitlines()[1:]]
    assert rows == [["*", "1", "64"], ["acme", "1", "500", "0"]]
    freed = json.loads(run("limit", "acme", "--running", "-1", "--json", about="tenants").stdout)
    assert freed == {**NOTHING, "waiting_jobs": 500}


def test_a_rate_is_set_for_one_tenant_at_a_time(run: Run) -> None:
    assert isinstance(run("limit", "*", "--rate", "5", about="tenants").exception, InvalidInput)
