"""The places in Flower that we replace, and what we rely on around them, in the version that is installed."""

import asyncio
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flower
import pytest
from flower.api.tasks import GetQueueLengths
from flower.app import Flower
from flower.options import options
from flower.urls import settings as web_settings
from flower.views import BaseHandler
from flower.views.broker import BrokerView
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from deploy.flower.__main__ import flower_options
from deploy.flower.job_queues import JobQueues, QueueRow
from deploy.flower.pages import Broker, open_api_to_this_host, show_job_queues
from headrace.errors import SettingsError
from headrace.keys import Keys
from headrace.redis_op import RedisOp
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from tests.integration.script_cell import Cell
from workers.app import COURIER_QUEUE, make_app

FOLDER = Path(flower.__file__).parent


@pytest.fixture(autouse=True)
def flower_unchanged_after_each_test() -> Iterator[None]:
    names = ("get_broker", "unauthenticated_api", "set_default_headers")
    kept = {name: BaseHandler.__dict__[name] for name in names}
    before = {name: getattr(options, name) for name in flower_options(Settings()) if name != "basic_auth"}
    yield
    for name, value in kept.items():
        setattr(BaseHandler, name, value)
    for name, value in before.items():
        setattr(options, name, value)


def test_the_version_is_the_one_whose_inside_was_read() -> None:
    assert flower.__version__.startswith("2.2."), "read flower/views and this test again"


def test_both_views_of_queues_ask_the_method_that_we_replace() -> None:
    assert ["self"] == list(inspect.signature(BaseHandler.get_broker).parameters)
    for view in (BrokerView.get, GetQueueLengths.get):
        source = inspect.getsource(view)
        assert "self.get_broker()" in source
        assert "await broker.queues(self.get_active_queue_names())" in source


def test_our_rows_use_the_columns_of_the_page() -> None:
    page = (FOLDER / "templates" / "broker.html").read_text()

    columns = set(re.findall(r"queue(?:\.get\()?\[?'(\w+)'", page))

    assert set(QueueRow.__annotations__) <= columns
    assert columns - set(QueueRow.__annotations__) == {"idle_since"}


def test_the_options_that_we_set_are_flowers() -> None:
    assert set(flower_options(Settings())) <= set(options.as_dict())


def test_each_call_that_changes_something_is_held_by_read_only() -> None:
    for file in ("control.py", "tasks.py"):
        source = (FOLDER / "api" / file).read_text()
        changing = re.findall(r"def post\(self.*?(?=\n    (?:async )?def |\nclass |\Z)", source, re.DOTALL)
        assert changing
        assert all("options.read_only" in body for body in changing), file


def test_others_may_look_with_a_password_only() -> None:
    with pytest.raises(SettingsError, match="HEADRACE_FLOWER_AUTH"):
        flower_options(Settings(flower_host="0.0.0.0"))  # noqa: S104 - to be refused

    chosen = flower_options(Settings(flower_host="0.0.0.0", flower_auth="a:b,c:d"))  # noqa: S104 - with a password

    assert (["a:b", "c:d"], True) == (chosen["basic_auth"], chosen["read_only"])


def test_rows_tell_what_waits_in_every_tier_and_in_plain_queues(
    redis_url: str, keys: Keys, connection: SyncRedis
) -> None:
    cell = Cell(connection=connection, keys=keys)
    cell.submit("a", tier="spot")
    cell.submit("b", tier="priority")
    connection.run(RedisOp(int, ("ZADD", keys.outbox, 0, "default/j1:1", 0, "default/j2:1")))
    queues = JobQueues(url=redis_url, cell=keys.cell)

    rows = asyncio.run(Broker(queues).queues([COURIER_QUEUE, "headrace.none"]))

    assert [(COURIER_QUEUE, 2), ("headrace.none", 0)] == [(row["name"], row["messages"]) for row in rows[:2]]
    known = connection.run(JobStore(keys).groups())
    assert sorted(known) == [row["name"] for row in rows[2:]]
    assert [(1, 1, 0, 0)] * 2 == [
        (row["messages"], row["messages_ready"], row["messages_unacknowledged"], row["consumers"]) for row in rows[2:]
    ]


async def test_on_loopback_programs_may_ask_but_web_pages_of_others_may_not(redis_url: str, keys: Keys) -> None:
    settings = Settings(redis_url=redis_url, cell=keys.cell)
    show_job_queues(JobQueues(url=redis_url, cell=keys.cell))
    open_api_to_this_host()

    answer = await ask(settings, "/api/queues/length")

    assert json.loads(answer.body) == {"active_queues": [{"name": "headrace.plain", "messages": 0}]}
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def ask(settings: Settings, path: str) -> Any:
    """Serve Flower's application without its threads and ask it once."""
    for name, value in flower_options(settings).items():
        setattr(options, name, value)
    application = Flower(capp=make_app(settings), options=options, **web_settings)
    server = HTTPServer(application)
    [socket] = bind_sockets(0, "127.0.0.1")
    server.add_sockets([socket])
    try:
        return await AsyncHTTPClient().fetch(f"http://127.0.0.1:{socket.getsockname()[1]}{path}", raise_error=False)
    finally:
        server.stop()
        await server.close_all_connections()
        application.executor.shutdown()
