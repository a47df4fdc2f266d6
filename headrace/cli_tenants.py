"""The commands about tenants. They talk to Redis itself, like those about keys."""

from typing import Annotated

import orjson
import typer

from headrace.api_keys import TENANT_PATTERN, matches_tenant
from headrace.cli_jobs import AsJson, print_table
from headrace.cli_redis import RedisUrl, redis_of
from headrace.errors import InvalidInput
from headrace.tenant_store import LEAST_WEIGHT, MOST_WEIGHT, TenantStore

app = typer.Typer(no_args_is_help=True, help="Tenants: whose jobs there are, and the weights of their shares.")


@app.command()
def ls(redis_url: RedisUrl = "", as_json: AsJson = False) -> None:
    """List the tenants that ever submitted or have a weight."""
    with redis_of(redis_url) as (connection, keys):
        store = TenantStore(keys)
        names, weights = connection.run(store.names()), connection.run(store.weights())
    tenants = {name: weights.get(name, 1.0) for name in sorted({*names, *weights})}
    if as_json:
        for name, weight in tenants.items():
            typer.echo(orjson.dumps({"tenant": name, "weight": weight}))
        return
    print_table(("TENANT", "WEIGHT"), ((name, f"{weight:g}") for name, weight in tenants.items()))


@app.command()
def weigh(
    tenant: Annotated[str, typer.Argument(metavar="TENANT")],
    weight: Annotated[float, typer.Argument(metavar="WEIGHT", min=LEAST_WEIGHT, max=MOST_WEIGHT)],
    redis_url: RedisUrl = "",
    as_json: AsJson = False,
) -> None:
    """Give a tenant's share a weight: while others wait too, it gets so many times the work of one of weight 1."""
    if not matches_tenant(tenant):
        raise InvalidInput(f"'{tenant[:80]}' is no name of a tenant; it must match {TENANT_PATTERN}")
    with redis_of(redis_url) as (connection, keys):
        connection.run(TenantStore(keys).set_weight(tenant, weight))
    if as_json:
        typer.echo(orjson.dumps({"tenant": tenant, "weight": weight}))
    typer.echo(f"{tenant} weighs {weight:g}", err=True)
