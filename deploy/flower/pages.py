"""What we change in Flower itself, by two of its methods; a contract test holds them to the installed version."""

import asyncio
from collections.abc import Iterable
from typing import Any

from flower.views import BaseHandler

from deploy.flower.job_queues import JobQueues, QueueRow


class Broker:
    """Stands in for Flower's reader of Celery's queues, in which jobs never are.

    Flower asks it for the queues of the workers that it knows only, so a tier without workers would be missing.
    """

    def __init__(self, queues: JobQueues) -> None:
        self._queues = queues

    async def queues(self, names: Iterable[str]) -> list[QueueRow]:
        """Rows for the Broker page: the plain queues of these names, then the queues of jobs."""
        return await asyncio.to_thread(self._queues.read, list(names))


def show_job_queues(queues: JobQueues) -> None:
    """Have the Broker page and `/api/queues/length` show the queues of jobs."""

    def get_broker(_handler: Any) -> Broker:
        return Broker(queues)

    BaseHandler.get_broker = get_broker


def open_api_to_this_host() -> None:
    """Let programs use the HTTP API without a password; for loopback only.

    Flower has a switch for that, but it also lets every web page that somebody looks at here read the answers
    (`Access-Control-Allow-Origin: *`).
    """

    def set_default_headers(handler: Any) -> None:
        handler.set_header("X-Content-Type-Options", "nosniff")

    BaseHandler.unauthenticated_api = True
    BaseHandler.set_default_headers = set_default_headers
