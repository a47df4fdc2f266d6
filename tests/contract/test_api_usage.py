"""What tenants had, over HTTP, by the clients and from the command line."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx2
import pytest
from typer.testing import CliRunner

from headrace.cli import app as cli
from headrace.client import Client
from headrace.keys import Keys
from headrace.sync_redis import SyncRedis
from headrace.usage import COLUMNS, day_of
from tests.contract.conftest import HandWorker
from tests.contract.keyring import Keyring


@pytest.fixture
def keyring(connection: SyncRedis, keys: Keys) -> Keyring:
    """Makes keys for the test's cell."""
    return Keyring(connection, keys)


@pytest.fixture
def use(connection: SyncRedis, keys: Keys) -> Callable[..., None]:
    """Has a tenant had something on a day."""

    def use(tenant: str, day: date, *, group: str = "greeter@1:standard", **counts: int) -> None:
        number = day_of(day)
        connection.client.hset(
            keys.usage(tenant, number), mapping={f"{group}:{name}": count for name, count in counts.items()}
        )
        connection.client.zadd(keys.usage_days, {f"{tenant}:{number}": number})

    return use


def today() -> date:
    return datetime.now(UTC).date()


async def usage(api: httpx2.AsyncClient, headers: Any = None, **query: str) -> Any:
    return (await api.get("/v1/usage", params=query, headers=headers)).json()


async def test_what_was_done_is_seen_at_once(api: httpx2.AsyncClient, worker: HandWorker) -> None:
    body = {"model": "greeter", "input": {"text": "x"}}
    for _ in range(2):
        await api.post("/v1/jobs", json=body)
    done, broken = worker.claim()
    worker.succeed(done, b'"12345"')
    worker.fail(broken)

    [row] = (await usage(api))["usage"]

    assert (row["tenant"], row["model"], row["tier"]) == ("default", {"name": "greeter", "version": 1}, "standard")
    assert (row["accepted"], row["succeeded"], row["failed"], row["canceled"]) == (2, 1, 1, 0)
    assert (row["gpu_ms"], row["output_bytes"]) == (10.0, 7)
    assert row["input_bytes"] == len(done.input) + len(broken.input)


async def test_days_are_those_that_were_asked_for(api: httpx2.AsyncClient, use: Callable[..., None]) -> None:
    for day in ("2030-01-30", "2030-01-31", "2030-02-01", "2030-02-02"):
        use("default", date.fromisoformat(day), accepted=1)

    report = await usage(api, **{"from": "2030-01-31", "to": "2030-02-01"})

    assert (report["from"], report["to"]) == ("2030-01-31", "2030-02-01")
    assert [row["day"] for row in report["usage"]] == ["2030-01-31", "2030-02-01"]


async def test_without_days_it_is_the_last_thirty(api: httpx2.AsyncClient, use: Callable[..., None]) -> None:
    for days_ago in (30, 29, 0):
        use("default", today() - timedelta(days=days_ago), accepted=1)

    assert len((await usage(api))["usage"]) == 2


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ({"from": "2030-02-01", "to": "2030-01-31"}, "/query/to", "empty_span"),
        ({"from": "2030-01-01", "to": "2031-01-02"}, "/query/to", "span_too_long"),
        ({"from": "1893456000"}, "/query/from", "value_error"),
        ({"tenant": "No/One"}, "/query/tenant", "string_pattern_mismatch"),
        ({"format": "xml"}, "/query/format", "literal_error"),
    ],
)
async def test_what_cannot_be_asked_is_told_so(
    api: httpx2.AsyncClient, query: dict[str, str], pointer: str, code: str
) -> None:
    problem = await usage(api, **query)

    assert [(field["pointer"], field["code"]) for field in problem["errors"]] == [(pointer, code)]
    assert "Value error" not in problem["detail"]


async def test_the_first_day_of_all_is_a_day(api: httpx2.AsyncClient) -> None:
    assert (await usage(api, to="0001-01-01"))["usage"] == []


@pytest.mark.parametrize("how", [{"params": {"format": "csv"}}, {"headers": {"Accept": "text/csv"}}], ids=str)
async def test_a_table_has_the_same_rows(
    api: httpx2.AsyncClient, use: Callable[..., None], how: dict[str, Any]
) -> None:
    use("default", today(), accepted=3, gpu_us=1_250, in_bytes=7)
    use("default", today(), group="other@2:spot", accepted=1)

    answer = await api.get("/v1/usage", **how)

    head, *rows = csv.reader(io.StringIO(answer.text))
    assert (answer.headers["content-type"], tuple(head)) == ("text/csv; charset=utf-8", COLUMNS)
    assert answer.headers["content-disposition"].startswith('attachment; filename="usage_')
    assert rows == [
        ["default", str(today()), "greeter", "1", "standard", "3", "0", "0", "0", "0", "1.25", "7", "0"],
        ["default", str(today()), "other", "2", "spot", "1", "0", "0", "0", "0", "0.0", "0", "0"],
    ]


async def test_each_tenant_sees_its_own_and_an_admin_any_and_all(
    api: httpx2.AsyncClient, keyring: Keyring, use: Callable[..., None]
) -> None:
    for tenant in ("acme", "rival"):
        use(tenant, today(), accepted=1)
    acme, admin = keyring.headers("acme", "read"), keyring.headers("operators", "admin")

    async def tenants(headers: dict[str, str], **query: str) -> list[str]:
        return [row["tenant"] for row in (await usage(api, headers, **query))["usage"]]

    assert await tenants(acme) == await tenants(acme, tenant="acme") == ["acme"]
    assert await tenants(admin) == []
    assert await tenants(admin, tenant="rival") == ["rival"]
    assert await tenants(admin, tenant="*") == ["acme", "rival"]


@pytest.mark.parametrize("whose", ["rival", "nobody", "*"])
async def test_what_another_had_is_kept_from_whoever_is_no_admin(
    api: httpx2.AsyncClient, keyring: Keyring, use: Callable[..., None], whose: str
) -> None:
    use("rival", today(), accepted=1)

    answer = await api.get(
        "/v1/usage", params={"tenant": whose}, headers=keyring.headers("acme", "read", "submit", "observe")
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert 'scope="admin"' in answer.headers["www-authenticate"]


async def test_somebody_elses_value_in_the_place_of_a_day_hides_no_other(
    api: httpx2.AsyncClient, use: Callable[..., None], connection: SyncRedis, keys: Keys
) -> None:
    use("default", today(), accepted=1)
    connection.client.set(keys.usage("default", day_of(today()) - 1), "somebody's")

    assert len((await usage(api))["usage"]) == 1


def test_the_client_and_the_command_line_have_it_too(live_url: str, use: Callable[..., None]) -> None:
    use("default", today(), accepted=3, gpu_us=2_500_000, in_bytes=12_345)

    def run(*arguments: str) -> str:
        return CliRunner().invoke(cli, ["usage", *arguments, "--url", live_url], catch_exceptions=False).stdout

    with Client(live_url) as client:
        [row] = client.usage(first=today(), tenant="*")
    assert (row["accepted"], row["gpu_ms"]) == (3, 2500.0)
    assert json.loads(run("--json")) == row
    assert run("--csv", "--to", str(today())).splitlines()[0] == ",".join(COLUMNS)
    assert run().splitlines()[1].split() == [
        *("default", str(today()), "greeter@1", "standard", *"30000", "2.5", "s", "12.3", "KB", "0", "B"),
    ]
