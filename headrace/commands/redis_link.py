"""The way of a command to Redis itself, for what needs no API: secrets, keys, limits."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from headrace.keys import Keys
from headrace.running import find_running
from headrace.settings import get_settings
from headrace.sync_redis import SyncRedis

RedisUrl = Annotated[str, typer.Option("--redis", metavar="URL", help="Where Redis is.", show_default=False)]


@contextmanager
def redis_of(url: str) -> Iterator[tuple[SyncRedis, Keys]]:
    """A connection to Redis, and the keys of the cell; without a URL, to what the settings say.

    If they say nothing either, to the Redis of the `headrace up` on this folder.
    """
    settings = get_settings()
    if not url and "redis_url" not in settings.model_fields_set and (running := find_running(settings.data_dir)):
        url = running.redis_url
    connection = SyncRedis(url=url or settings.redis_url)
    try:
        yield connection, Keys(cell=settings.cell)
    finally:
        connection.close()
