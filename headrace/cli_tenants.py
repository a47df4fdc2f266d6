"""The commands about tenants. They talk to Redis itself, like those about keys."""

from typing import Annotated

import orjson
import typer

from headrace.api_keys import TENANT_PATTERN, matches_tenant
from headrace.cli_jobs import AsJson, print_table
from headrace.cli_redis import RedisUrl, redis_of
from headrace.errors import InvalidInput
from headrace.tenant_store import LEAST_WEIGHT, MOST_WEIGHT, Rate, TenantStore

app = typer.Typer(no_args_is_help=True, help="Tenants: their shares, and how often they may ask.")


@app.command()
def ls(redis_url: RedisUrl = "", as_json: AsJson = False) -> None:
    """List the tenants that ever submitted, or of whom anything was set."""
    with redis_of(redis_url) as (connection, keys):
        store = TenantStore(keys)
        names, weights = connection.run(store.names()), connection.run(store.weights())
        rates = connection.run(store.rates())
    tenants = [(name, weights.get(name, 1.0), rates.get(name)) for name in sorted({*names, *weights, *rates})]
    if as_json:
        for name, weight, rate in tenants:
            typer.echo(orjson.dumps({"tenant": name, "weight": weight, "requests": rate and rate.model_dump()}))
        return
    print_table(("TENANT", "WEIGHT", "REQUESTS"), (_row(*tenant) for tenant in tenants))


@app.command()
def weigh(
    tenant: Annotated[str, typer.Argument(metavar="TENANT")],
    weight: Annotated[float, typer.Argument(metavar="WEIGHT", min=LEAST_WEIGHT, max=MOST_WEIGHT)],
    redis_url: RedisUrl = "",
    as_json: AsJson = False,
) -> None:
    """Give a tenant's share a weight: while others wait too, it gets so many times the work of one of weight 1."""
    _check(tenant)
    with redis_of(redis_url) as (connection, keys):
        connection.run(TenantStore(keys).set_weight(tenant, weight))
    if as_json:
        typer.echo(orjson.dumps({"tenant": tenant, "weight": weight}))
    typer.echo(f"{tenant} weighs {weight:g}", err=True)


@app.command()
def limit(
    tenant: Annotated[str, typer.Argument(metavar="TENANT")],
    rate: Annotated[float, typer.Option(min=0, max=1e6, help="Requests a second in the long run; 0: any number.")],
    burst: Annotated[int, typer.Option(min=1, max=1_000_000, help="Requests at once.")] = 100,
    redis_url: RedisUrl = "",
    as_json: AsJson = False,
) -> None:
    """Say how often a tenant may ask, whatever the settings say; the API knows it two seconds later."""
    _check(tenant)
    with redis_of(redis_url) as (connection, keys):
        connection.run(TenantStore(keys).set_rate(tenant, Rate(per_s=rate, burst=burst)))
    if as_json:
        typer.echo(orjson.dumps({"tenant": tenant, "requests": {"per_s": rate, "burst": burst}}))
    typer.echo(f"{tenant} may make {rate:g} requests a second" if rate else f"{tenant} may ask at will", err=True)


def _check(tenant: str) -> None:
    if not matches_tenant(tenant):
        raise InvalidInput(f"'{tenant[:80]}' is no name of a tenant; it must match {TENANT_PATTERN}")


def _row(tenant: str, weight: float, rate: Rate | None) -> tuple[str, ...]:
    requests = f"{rate.per_s:g}/s, {rate.burst} at once" if rate and rate.per_s else ""
    return tenant, f"{weight:g}", requests
