"""The commands about API keys. They talk to Redis itself: the first key is made before anybody could show one."""

import time
from typing import Annotated

import orjson
import typer

from headrace.api_keys import DEFAULT_SCOPES, ApiKey, KeyRequest, KeyState, Scope, make_key
from headrace.cli_jobs import AsJson, print_table
from headrace.cli_redis import RedisUrl, redis_of
from headrace.errors import KeyNotFound
from headrace.ids import DEFAULT_TENANT
from headrace.key_store import KeyStore
from headrace.reading import parse_body
from headrace.timestamps import rfc3339

app = typer.Typer(no_args_is_help=True, help="API keys: who may ask, for which tenant, and for what.")

_DAY_S = 86_400


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="Whose jobs it leads to.")] = DEFAULT_TENANT,
    scope: Annotated[list[Scope], typer.Option(help="What it allows; may be given often.")] = list(DEFAULT_SCOPES),  # noqa: B006 - typer copies it
    name: Annotated[str, typer.Option(help="For people: who uses it, and where.")] = "",
    expires_in_days: Annotated[int | None, typer.Option(min=1, help="It opens nothing after so long.")] = None,
    redis_url: RedisUrl = "",
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, once. From the first one on, the API demands keys."""
    expires_in_s = expires_in_days and expires_in_days * _DAY_S
    wanted = {"tenant": tenant, "scopes": scope, "name": name, "expires_in_s": expires_in_s}
    made = make_key(parse_body(orjson.dumps(wanted), KeyRequest), now_ms=_now_ms())
    with redis_of(redis_url) as (connection, keys):
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
    if as_json:
        for key in found:
            typer.echo(orjson.dumps({**key.model_dump(exclude={"digest"}), "state": key.state(_now_ms())}))
        return
    print_table(("ID", "TENANT", "SCOPES", "STATE", "EXPIRES", "NAME"), map(_row, found))


@app.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `ls` shows it.")],
    redis_url: RedisUrl = "",
    as_json: AsJson = False,
) -> None:
    """Revoke a key: within seconds it opens nothing; what it submitted goes on."""
    with redis_of(redis_url) as (connection, keys):
        store = KeyStore(keys)
        key = connection.run(store.get(key_id))
        if key is None:
            raise KeyNotFound(f"there is no API key {key_id}; `headrace keys ls` lists them")
        connection.run(store.put(key.revoked(_now_ms())))
    if as_json:
        typer.echo(orjson.dumps({"id": key.id, "tenant": key.tenant, "state": KeyState.REVOKED}))
    typer.echo(f"{key.id} of {key.tenant} is revoked", err=True)


def _row(key: ApiKey) -> tuple[object, ...]:
    expires = rfc3339(key.expires_ms or None) or ""
    return key.id, key.tenant, " ".join(key.scopes), key.state(_now_ms()), expires, key.name


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
