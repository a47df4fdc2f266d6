"""The commands about webhooks: what was delivered (from the API), and the secret that signs (from Redis)."""

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
import typer

from headrace.client import Client
from headrace.commands import listen
from headrace.commands.jobs import LOOKING, AsJson, Url, print_json, print_table
from headrace.commands.listen import Tenant, signing_secrets
from headrace.commands.redis_link import RedisUrl
from headrace.endpoints import Event, Include
from headrace.errors import InvalidInput
from headrace.ids import DEFAULT_TENANT
from headrace.webhooks import ROTATION_S, DeliveryState

app = typer.Typer(no_args_is_help=True, help="Who was told of the ends of jobs, and the secret that signs it.")
listen.add_commands(app)

EndpointId = Annotated[str, typer.Argument(metavar="ID", show_default=False)]


@app.command()
def deliveries(
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many at most.")] = 20,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """List the newest deliveries."""
    with Client(url or None, patience=LOOKING) as client:
        documents = client.webhook_deliveries(limit=limit)
    if as_json:
        print_json(documents)
        return
    print_table(("ID", "URL", "STATUS", "ATTEMPTS", "LAST OUTCOME", "NEXT ATTEMPT"), map(_row, documents))


@app.command()
def replay(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", show_default=False)] = None,
    every: Annotated[bool, typer.Option("--all", help="All that --status and --since mean, at most --limit.")] = False,
    status: Annotated[DeliveryState, typer.Option(help="With --all: those that are so.")] = DeliveryState.FAILED,
    since: Annotated[str, typer.Option(metavar="TIME", help="With --all: attempted last then or later.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many at most.")] = 100,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Deliver some, or with --all many, again; prints the ids of what is due now. ID is a `webhook-id`."""
    if bool(ids) == every:
        raise InvalidInput("name the deliveries, or --all: headrace webhooks replay --all --status failed")
    with Client(url or None, patience=LOOKING) as client:
        if every:
            ids = client.replay_webhooks(status=status, since=since or None, limit=limit)
        else:
            ids = [client.replay_webhook(event_id)["id"] for event_id in ids or ()]
    if as_json:
        print_json({"id": event_id} for event_id in ids)
        return
    for event_id in ids:
        typer.echo(event_id)
    if not ids:
        typer.echo("nothing fits: `headrace webhooks deliveries` lists what there is", err=True)


@app.command()
def secret(
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new one; the old one signs along for a day.")
    ] = False,
    now: Annotated[bool, typer.Option("--now", help="With --rotate: drop the old one at once.")] = False,
    tenant: Tenant = DEFAULT_TENANT,
    redis_url: RedisUrl = "",
    as_json: AsJson = False,
) -> None:
    """Print the secret that signs webhooks; needs Redis itself, not the API."""
    if now and not rotate:
        raise InvalidInput("--now goes with --rotate: headrace webhooks secret --rotate --now")
    keep_old_s = (0 if now else ROTATION_S) if rotate else None
    secrets = signing_secrets(redis_url, tenant, keep_old_s)
    if as_json:
        typer.echo(orjson.dumps({"secret": secrets[0], "signing": secrets}))
        return
    typer.echo(secrets[0])
    if len(secrets) > 1:
        typer.echo("the secret before it signs along for up to a day from when it was replaced", err=True)


@app.command()
def endpoints(as_json: AsJson = False, url: Url = "") -> None:
    """List the registered receivers."""
    with Client(url or None, patience=LOOKING) as client:
        documents = client.webhook_endpoints()
    if as_json:
        print_json(documents)
        return
    rows = [
        (one["id"], one["url"], ",".join(one["events"]), one["stopped"] or "enabled", one["failing_since"] or "")
        for one in documents
    ]
    print_table(("ID", "URL", "EVENTS", "STATE", "FAILING SINCE"), rows)


@app.command()
def register(
    receiver: Annotated[str, typer.Argument(metavar="URL", show_default=False)],
    event: Annotated[list[Event] | None, typer.Option(help="What it is told; all if none is named.")] = None,
    include: Annotated[Include, typer.Option(help="Results in the event, or only where they are.")] = Include.INLINE,
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Register a receiver; prints its id and the secret that signs, which is never shown again."""
    events = {"events": sorted(event)} if event else {}
    with Client(url or None, patience=LOOKING) as client:
        made = client.register_webhook(receiver, include=include, **events)
    typer.echo(orjson.dumps(made) if as_json else f"{made['id']}\n{made['secret']}")


@app.command()
def rotate(endpoint_id: EndpointId, as_json: AsJson = False, url: Url = "") -> None:
    """Replace a receiver's secret; prints the new one. The one before signs along for a day."""
    with Client(url or None, patience=LOOKING) as client:
        made = client.rotate_webhook(endpoint_id)
    typer.echo(orjson.dumps(made) if as_json else made["secret"])


@app.command("test")
def send_test(endpoint_id: EndpointId, as_json: AsJson = False, url: Url = "") -> None:
    """Send a signed `endpoint.test` to a receiver; prints what came of it. Exit code 1 if it did not arrive."""
    with Client(url or None, patience=LOOKING) as client:
        tested = client.test_webhook(endpoint_id)
    typer.echo(orjson.dumps(tested) if as_json else tested["outcome"])
    if not tested["delivered"]:
        raise typer.Exit(1)


@app.command()
def enable(endpoint_id: EndpointId, as_json: AsJson = False, url: Url = "") -> None:
    """Tell a receiver again, whatever stopped it."""
    _switch(endpoint_id, is_on=True, as_json=as_json, url=url)


@app.command()
def disable(endpoint_id: EndpointId, as_json: AsJson = False, url: Url = "") -> None:
    """Tell a receiver nothing more; what is due to it has failed, and can be replayed."""
    _switch(endpoint_id, is_on=False, as_json=as_json, url=url)


def _switch(endpoint_id: str, *, is_on: bool, as_json: bool, url: str) -> None:
    with Client(url or None, patience=LOOKING) as client:
        changed = client.change_webhook(endpoint_id, enabled=is_on)
    becomes = f"again, at {changed['url']}" if is_on else "nothing more; `headrace webhooks enable` changes that"
    if as_json:
        print_json([changed])
    else:
        typer.echo(f"{endpoint_id} is told {becomes}", err=True)


@app.command()
def forget(endpoint_id: EndpointId, as_json: AsJson = False, url: Url = "") -> None:
    """Forget a receiver."""
    with Client(url or None, patience=LOOKING) as client:
        client.forget_webhook(endpoint_id)
    if as_json:
        print_json([{"id": endpoint_id}])
    else:
        typer.echo(f"{endpoint_id} is forgotten", err=True)


def _row(delivery: Mapping[str, Any]) -> tuple[object, ...]:
    shown = (delivery[name] for name in ("url", "status", "attempts"))
    return delivery["id"], *shown, delivery["outcome"] or "", delivery["next_attempt"] or ""
