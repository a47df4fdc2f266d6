"""The commands about tenants. They talk to Redis itself, like those about keys."""

from typing import Annotated, Any

import orjson
import typer

from headrace.api_keys import TENANT_PATTERN, matches_tenant
from headrace.commands.jobs import AsJson, print_json, print_table
from headrace.commands.rates import Burst, PerSecond, rate_of, said_of
from headrace.commands.redis_link import RedisUrl, redis_of
from headrace.errors import InvalidInput
from headrace.tenant_store import (
    EVERYBODY,
    LEAST_WEIGHT,
    MOST_RUNNING,
    MOST_WAITING,
    MOST_WEIGHT,
    TenantStore,
    Terms,
)

app = typer.Typer(
    no_args_is_help=True, help="Tenants: their shares, how often they may ask, how many jobs they may have."
)


@app.command()
def ls(redis_url: RedisUrl = "", as_json: AsJson = False) -> None:
    """List the tenants that ever submitted, or of whom anything was set; * stands for those that have no caps."""
    with redis_of(redis_url) as (connection, keys):
        store = TenantStore(keys)
        names, weights = connection.run(store.names()), connection.run(store.weights())
        rates, caps = connection.run(store.rates()), connection.run(store.caps())
    tenants = Terms.of_all(names, weights, rates, caps)
    if as_json:
        print_json(map(_document, tenants))
        return
    print_table(("TENANT", "WEIGHT", "REQUESTS", "WAITING", "RUNNING"), map(_row, tenants))


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
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="* sets caps for all that have none of their own.")],
    rate: PerSecond = None,
    burst: Burst = None,
    waiting: Annotated[
        int | None,
        typer.Option(min=-1, max=MOST_WAITING, help="Jobs that may wait over all its queues; -1: any number."),
    ] = None,
    running: Annotated[
        int | None, typer.Option(min=-1, max=MOST_RUNNING, help="Jobs that workers may hold; -1: any number.")
    ] = None,
    redis_url: RedisUrl = "",
    as_json: AsJson = False,
) -> None:
    """Say how often a tenant may ask and how many jobs it may have, whatever the settings say; print what is set."""
    requests = rate_of(rate, burst)
    if tenant != EVERYBODY or requests:
        _check(tenant)
    caps = {"waiting_jobs": waiting, "running_jobs": running}
    named = {name: None if most == -1 else most for name, most in caps.items() if most is not None}
    with redis_of(redis_url) as (connection, keys):
        store = TenantStore(keys)
        if requests:
            connection.run(store.set_rate(tenant, requests))
        connection.run_all(store.set_caps(tenant, named))
        weights, set_rate = connection.run(store.weights()), connection.run(store.rate(tenant))
        terms = Terms.of(tenant, weights, set_rate, connection.run(store.caps()))
    if as_json:
        print_json([_document(terms)])
    typer.echo(_sentence(terms), err=True)


def _check(tenant: str) -> None:
    if not matches_tenant(tenant):
        raise InvalidInput(f"'{tenant[:80]}' is no name of a tenant; it must match {TENANT_PATTERN}")


def _weight(terms: Terms) -> float:
    return 1.0 if terms.weight is None else terms.weight


def _document(terms: Terms) -> dict[str, Any]:
    return {**terms.document, "weight": _weight(terms)}


def _row(terms: Terms) -> tuple[object, ...]:
    caps = ("" if most is None else most for most in terms.caps)
    return terms.tenant, f"{_weight(terms):g}", said_of(terms.rate), *caps


def _sentence(terms: Terms) -> str:
    rate, caps = terms.rate, terms.caps
    asks = f"may make {rate.per_s:g} requests a second" if rate and rate.per_s else "may ask at will"
    jobs = [
        f"{most} {name}"
        for most, name in ((caps.waiting_jobs, "waiting"), (caps.running_jobs, "running"))
        if most is not None
    ]
    return f"{terms.tenant} {asks}" + (f" and have {', '.join(jobs)} jobs" if jobs else "")
