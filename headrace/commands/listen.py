"""`headrace webhooks listen`: shows what receivers are told, from the API or as a receiver on this machine."""

import itertools
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

import httpx2
import orjson
import typer

from headrace.client import Client
from headrace.commands.jobs import AsJson, Url
from headrace.commands.redis_link import RedisUrl, redis_of
from headrace.delivery_store import DeliveryStore
from headrace.errors import InvalidInput
from headrace.ids import DEFAULT_TENANT
from headrace.persistence import Patience
from headrace.settings import get_settings
from headrace.webhook_listener import Arrival, listener
from headrace.webhook_signature import problem_of
from headrace.webhooks import key_of

Tenant = Annotated[str, typer.Option(help="Whose webhooks; needs Redis itself.")]

#: One long poll.
_WAIT_S = 20.0
_FORWARD_S = 30.0
#: A listener sits out a restart of the API.
_STAYING = Patience(give_up_s=60)


def add_commands(app: typer.Typer) -> None:
    """Give `app` this command."""
    app.command()(listen)


def listen(
    forward_to: Annotated[
        str, typer.Option("--forward-to", metavar="URL", help="Post each event there too, signed.")
    ] = "",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Be a receiver at this port instead; 0 takes a free one.")
    ] = None,
    secret: Annotated[
        str,
        typer.Option(
            help="What signs, whsec_…; without it the API lends one, and with --port Redis is asked.",
            envvar="HEADRACE_WEBHOOK_SECRET",
        ),
    ] = "",
    tenant: Tenant = DEFAULT_TENANT,
    count: Annotated[int, typer.Option(min=0, help="End after so many; 0 goes on.")] = 0,
    redis_url: RedisUrl = "",
    as_json: AsJson = False,
    url: Url = "",
) -> None:
    """Show each event that receivers are told, and whether its signature is right. Ctrl-C ends it."""
    if port is not None and (forward_to or url):
        raise InvalidInput("--port makes this a receiver, which asks no API; leave out --url and --forward-to")
    if port is None:
        arrivals = _from_api(url, secret, forward_to)
    else:
        arrivals = _from_port(port, [secret] if secret else signing_secrets(redis_url, tenant))
    try:
        for arrival in itertools.islice(arrivals, count or None):
            typer.echo(_json_of(arrival) if as_json else _text_of(arrival))
    except KeyboardInterrupt:
        pass


def signing_secrets(redis_url: str, tenant: str, keep_old_s: int | None = None) -> list[str]:
    """The secrets that sign a tenant's webhooks, the newest first."""
    from headrace.secret_box import box_of  # what encrypts takes longer to import than most commands to run

    with redis_of(redis_url) as (connection, keys):
        return connection.run(DeliveryStore(keys).secrets(tenant, keep_old_s=keep_old_s, box=box_of(get_settings())))


def _from_api(url: str, secret: str, forward_to: str) -> Iterator[Arrival]:
    with Client(url or None, patience=_STAYING) as client, httpx2.Client(timeout=_FORWARD_S, trust_env=False) as local:
        page = client.webhook_events()
        typer.echo(f"listening at {client.url}; what comes is signed by {secret or page['secret']}", err=True)
        while True:
            page = client.webhook_events(after=page["cursor"], wait_s=_WAIT_S)
            key = key_of(secret or page["secret"])
            for event in page["events"]:
                forwarded = _forward(local, forward_to, event) if forward_to else ""
                yield _arrival(event, key)._replace(forwarded=forwarded)


def _arrival(event: Mapping[str, Any], key: bytes) -> Arrival:
    body = event["body"].encode()
    problem = problem_of([key], event["headers"], body, now_s=time.time())
    return Arrival(event["id"], problem, orjson.loads(body))


def _forward(local: httpx2.Client, url: str, event: Mapping[str, Any]) -> str:
    """What the receiver on this machine answers, in one word."""
    headers = {"content-type": "application/json", **event["headers"]}
    try:
        return f"http_{local.post(url, content=event['body'].encode(), headers=headers).status_code}"
    except (httpx2.TransportError, httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        return f"not forwarded: {str(error) or type(error).__name__}"


def _from_port(port: int, secrets: Sequence[str]) -> Iterator[Arrival]:
    keys, seen, arrived = [key_of(text) for text in secrets], threading.Semaphore(0), list[Arrival]()

    def show(arrival: Arrival) -> None:
        arrived.append(arrival)
        seen.release()

    server = listener(port, keys=lambda: keys, show=show)
    typer.echo(f"listening: --webhook http://127.0.0.1:{server.server_port}/", err=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield from _as_they_come(arrived, seen)
    finally:
        server.shutdown()
        server.server_close()


def _as_they_come(arrived: list[Arrival], seen: threading.Semaphore) -> Iterable[Arrival]:
    while True:
        seen.acquire()
        yield arrived.pop(0)


def _text_of(arrival: Arrival) -> str:
    event = arrival.event if isinstance(arrival.event, dict) else {}
    mark = f"REFUSED, {arrival.problem}" if arrival.problem else "signature ok"
    to = f"  -> {arrival.forwarded}" if arrival.forwarded else ""
    shown = orjson.dumps(arrival.event, option=orjson.OPT_INDENT_2).decode()
    return f"{arrival.event_id or '-'}  {event.get('type', '-')}  {mark}{to}\n{shown}"


def _json_of(arrival: Arrival) -> str:
    document = {"id": arrival.event_id, "verified": not arrival.problem, "problem": arrival.problem or None}
    return orjson.dumps({**document, "forwarded": arrival.forwarded or None, "event": arrival.event}).decode()
