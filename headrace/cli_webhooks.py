"""The commands about webhooks: what was delivered (from the API), and the secret that signs (from Redis)."""

from collections.abc import Mapping
from typing import Annotated, Any

import orjson
import typer

from headrace.cli_jobs import LOOKING, AsJson, Url, print_json, print_table
from headrace.client import Client
from headrace.delivery_store import DeliveryStore
from headrace.errors import InvalidInput
from headrace.keys import Keys
from headrace.running import find_running
from headrace.settings import get_settings
from headrace.sync_redis import SyncRedis
from headrace.webhooks import ROTATION_S, DeliveryState

app = typer.Typer(no_args_is_help=True, help="Who was told of the ends of jobs, and the secret that signs it.")

#: Whose webhooks all are until callers have keys.
_TENANT = "default"


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


@app.command()
def secret(
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new one; the old one signs along for a day.")
    ] = False,
    now: Annotated[bool, typer.Option("--now", help="With --rotate: drop the old one at once.")] = False,
    redis_url: Annotated[str, typer.Option("--redis", metavar="URL", help="Where Redis is.", show_default=False)] = "",
    as_json: AsJson = False,
) -> None:
    """Print the secret that signs webhooks; needs Redis itself, not the API."""
    if now and not rotate:
        raise InvalidInput("--now goes with --rotate: headrace webhooks secret --rotate --now")
    keep_old_s = (0 if now else ROTATION_S) if rotate else None
    connection = SyncRedis(url=redis_url or _redis_url())
    store = DeliveryStore(Keys(cell=get_settings().cell))
    secrets = connection.run(store.secrets(_TENANT, keep_old_s=keep_old_s))
    connection.close()
    if as_json:
        typer.echo(orjson.dumps({"secret": secrets[0], "signing": secrets}))
        return
    typer.echo(secrets[0])
    if len(secrets) > 1:
        typer.echo("the secret before it signs along for up to a day from when it was replaced", err=True)


def _row(delivery: Mapping[str, Any]) -> tuple[object, ...]:
    shown = (delivery[name] for name in ("url", "status", "attempts"))
    return delivery["id"], *shown, delivery["outcome"] or "", delivery["next_attempt"] or ""


def _redis_url() -> str:
    """What the settings say; if they say nothing, the Redis of the `headrace up` on this folder."""
    settings = get_settings()
    if "redis_url" not in settings.model_fields_set and (running := find_running(settings.data_dir)):
        return running.redis_url
    return settings.redis_url
