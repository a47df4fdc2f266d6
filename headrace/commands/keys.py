"""The commands about API keys. They talk to Redis itself: the first key is made before anybody could show one."""

import time
from typing import Annotated, Any

import orjson
import typer

from headrace.api_keys import DEFAULT_SCOPES, ApiKey, KeyRequest, KeyState, Scope, make_key
from headrace.commands.jobs import AsJson, print_json, print_table
from headrace.commands.rates import Burst, PerSecond, rate_of, said_of
from headrace.commands.redis_link import RedisUrl, redis_of
from headrace.errors import KeyNotFound
from headrace.ids import DEFAULT_TENANT
from headrace.key_store import KeyStore
from headrace.keys import Keys
from headrace.reading import parse_body
from headrace.sync_redis import SyncRedis
from headrace.tenant_store import Rate, TenantStore
from headrace.timestamps import rfc3339

app = typer.Typer(no_args_is_help=True, help="API keys: who may ask, for which tenant, and for what.")

_DAY_S = 86_400


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="Whose jobs it leads to.")] = DEFAULT_TENANT,
    scope: Annotated[list[Scope], typer.Option(help="What it allows; may be given often.")] = list(DEFAULT_SCOPES),  # noqa: B006 - typer copies it
    name: Annotated[str, typer.Option(help="For people: who uses it, and where.")] = "",
    expires_in_days: Annotated[int | None, typer.Option(min=1, help="It opens nothing after so long.")] = None,
    rate: PerSecond = None,
    burst: Burst = None,
    redis_url: RedisUrl = "",
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, once. From the first one on, the API demands keys."""
    expires_in_s = expires_in_days and expires_in_days * _DAY_S
    wanted = {"tenant": tenant, "scopes": scope, "name": name, "expires_in_s": expires_in_s}
    requests = rate_of(rate, burst)
    made = make_key(parse_body(orjson.dumps(wanted), KeyRequest), now_ms=_now_ms())
    with redis_of(redis_url) as (connection, keys):
        if requests:  # before there is a key that could ask
            connection.run(TenantStore(keys).set_key_rate(made.key.id, requests))
        connection.run(KeyStore(keys).put(made.key))
    if as_json:
        typer.echo(orjson.dumps({"id": made.key.id, "tenant": made.key.tenant, "key": made.text}))
        return
    typer.echo(made.text)
    typer.echo("it is kept nowhere and never shown again; clients read it from HEADRACE_API_KEY", err=True)


@app.command()
def ls(redis_url: RedisUrl = "", as_json: AsJson = False) -> None:
    """List the keys, the oldest first."""
    with redis_of(redis_url) as (connection, keys):
        found = connection.run(KeyStore(keys).all())
        rates = connection.run(TenantStore(keys).key_rates())
    if as_json:
        print_json(_document(key, rates.get(key.id)) for key in found)
        return
    head = ("ID", "TENANT", "SCOPES", "STATE", "EXPIRES", "REQUESTS", "NAME")
    print_table(head, (_row(key, rates.get(key.id)) for key in found))


@app.command()
def limit(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `ls` shows it.")],
    rate: PerSecond = None,
    burst: Burst = None,
    redis_url: RedisUrl = "",
    as_json: AsJson = False,
) -> None:
    """Say how often a key may ask, within what its tenant may, and print what is set; --rate 0 takes that away."""
    requests = rate_of(rate, burst)
    with redis_of(redis_url) as (connection, keys):
        key, store = _found(connection, keys, key_id), TenantStore(keys)
        if requests:
            connection.run(store.set_key_rate(key_id, requests if requests.per_s else None))
        known = connection.run(store.key_rate(key_id))
    if as_json:
        print_json([_document(key, known)])
    typer.echo(f"{key.id} of {key.tenant} may ask {said_of(known) or 'as often as its tenant'}", err=True)


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `ls` shows it.")],
    redis_url: RedisUrl = "",
    as_json: AsJson = False,
) -> None:
    """Revoke a key: within seconds it opens nothing; what it submitted goes on."""
    with redis_of(redis_url) as (connection, keys):
        key = _found(connection, keys, key_id)
        connection.run(KeyStore(keys).put(key.revoked(_now_ms())))
    if as_json:
        typer.echo(orjson.dumps({"id": key.id, "tenant": key.tenant, "state": KeyState.REVOKED}))
    typer.echo(f"{key.id} of {key.tenant} is revoked", err=True)


def _found(connection: SyncRedis, keys: Keys, key_id: str) -> ApiKey:
    key = connection.run(KeyStore(keys).get(key_id))
    if key is None:
        raise KeyNotFound(f"there is no API key {key_id}; `headrace keys ls` lists them")
    return key


def _document(key: ApiKey, rate: Rate | None) -> dict[str, Any]:
    shown = key.model_dump(mode="json", exclude={"digest"})
    return {**shown, "state": key.state(_now_ms()), "requests": rate and rate.model_dump()}


def _row(key: ApiKey, rate: Rate | None) -> tuple[object, ...]:
    expires = rfc3339(key.expires_ms or None) or ""
    return key.id, key.tenant, " ".join(key.scopes), key.state(_now_ms()), expires, said_of(rate), key.name


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
