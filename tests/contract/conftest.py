"""The API in this process over a real server and a real registry, and a worker's part played by hand.

Whatever a test asks, each answer is held against the OpenAPI document: status, content type and shape.
"""

import re
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import jsonschema_rs
import orjson
import pytest
from fastapi import FastAPI

from api.__main__ import make_server
from api.app import create_app
from api.services import Services
from headrace.errors import FieldError
from headrace.groups import group_of
from headrace.job_errors import error_document
from headrace.jobs import Cause, JobStatus, Reason
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.mux import Mux
from headrace.presence import ModelPresence, ModelState, WorkerPresence, WorkerState
from headrace.redis_op import Argument, RedisOp
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.store_work import ClaimedJob, ClaimSize, CommitAnswer, Outcome, PassProgress
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from registry.registry import Registry
from scheduler.embedded_server import free_port

GREETER = '''
from pydantic import BaseModel, ConfigDict, Field
from headrace.model import Model

class Greeting(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str = Field(max_length=40_000)
    times: int = 1

class Greeter(Model, max_batch=8):
    """Says hello."""
    examples = [Greeting(text="world")]
    def forward(self, batch: list[Greeting]) -> list[str]:
        return [f"hello {item.text}" for item in batch]
'''

#: What the worker says of each of its passes.
PASS_MS = 5
#: What the slow worker says of each job.
SLOW_JOB_S = 1.0


class HandWorker:
    """Claims and ends jobs when a test says so."""

    def __init__(self, connection: SyncRedis, store: JobStore) -> None:
        self._run = connection.run
        self._store = store

    def claim(self, *, tier: Tier = Tier.STANDARD, jobs: int = 100) -> list[ClaimedJob]:
        """Take what waits for the greeter."""
        groups = [group_of(ModelRef("greeter", 1), tier)]
        size = ClaimSize(jobs, jobs, 1 << 20)
        claim = self._store.claim(worker="hand", groups=groups, size=size, lease_ms=60_000)
        return self._run(claim).jobs

    def start(self, job: ClaimedJob) -> None:
        """Begin a job's forward pass."""
        assert self._run(self._store.start([job.lease])) == [True]

    def say(self, job: ClaimedJob, fraction: float, message: str = "") -> None:
        """Say how far a job's pass is."""
        assert self._run(self._store.progress([PassProgress(job.lease, fraction, message)])) == [True]

    def pass_on(self, job: ClaimedJob, *, outgrown_bytes: int) -> None:
        """Leave a job to workers with more memory."""
        reason = Reason.NEEDS_LARGER_WORKER
        self._run(self._store.release([job.lease], reason=reason, outgrown_bytes=outgrown_bytes))

    def succeed(self, job: ClaimedJob, result: bytes = b'"done"') -> CommitAnswer:
        """End a job with a result."""
        return self._commit(Outcome(job.lease, JobStatus.SUCCEEDED, None, result))

    def success_of(self, job: ClaimedJob) -> Sequence[Argument]:
        """The command that ends a job with a result, for tests that send it themselves."""
        outcome = Outcome(job.lease, JobStatus.SUCCEEDED, None, b"1")
        return self._store.commit([outcome], ran_ms=PASS_MS, result_ttl_s=60).fallback

    def fail(self, job: ClaimedJob, detail: str = "it broke") -> CommitAnswer:
        """End a job without one."""
        body = error_document(Cause.MODEL, detail)
        return self._commit(Outcome(job.lease, JobStatus.FAILED, Cause.MODEL, body))

    def refuse(self, job: ClaimedJob, *fields: FieldError) -> CommitAnswer:
        """End a job whose input is no good."""
        body = error_document(Cause.INPUT, "the input is no good", fields=fields)
        return self._commit(Outcome(job.lease, JobStatus.FAILED, Cause.INPUT, body))

    def _commit(self, outcome: Outcome) -> CommitAnswer:
        return self._run(self._store.commit([outcome], ran_ms=PASS_MS, result_ttl_s=60))[0]


class Contract:
    """Holds answers against the OpenAPI document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._validators: dict[str, Any] = {}
        self._paths = {re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + r"\Z"): path for path in document["paths"]}

    async def check(self, response: httpx2.Response) -> None:
        """Assert that the answer is a documented one."""
        request = response.request
        operation = self._operation(request.method.lower(), request.url.path)
        if operation is None:
            return
        await response.aread()
        kind = "default" if response.status_code == 500 else str(response.status_code)
        assert kind in operation["responses"], f"{request.method} {request.url.path} -> {kind} is not documented"
        documented = operation["responses"][kind]
        if response.status_code in (204, 206, 304):
            return  # a part of a document, or none
        content = documented["content"][response.headers["content-type"].removesuffix("; charset=utf-8")]
        if "json" not in response.headers["content-type"]:
            return
        self._validator(content["schema"]).validate(response.json())

    def _validator(self, schema: dict[str, Any]) -> Any:
        key = orjson.dumps(schema).decode()
        if key not in self._validators:
            whole = {"components": self._document["components"], **schema}
            self._validators[key] = jsonschema_rs.validator_for(whole)
        return self._validators[key]

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        for pattern, template in self._paths.items():
            if pattern.match(path):
                found: dict[str, Any] | None = self._document["paths"][template].get(method)
                return found
        return None


@pytest.fixture(scope="session")
def registry_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry with one released model, `greeter`."""
    folder = tmp_path_factory.mktemp("greeter")
    (folder / "model.py").write_text(GREETER)
    url = tmp_path_factory.mktemp("registry").as_uri()
    Registry(url=url).push(folder, name="greeter")
    return url


@pytest.fixture
def settings(redis_url: str, keys: Keys, registry_url: str, tmp_path: Path) -> Settings:
    """Settings of the test's own cell."""
    return Settings(redis_url=redis_url, cell=keys.cell, registry_url=registry_url, data_dir=tmp_path)


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application, started."""
    async with started(settings) as app:
        yield app


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[FastAPI]:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


_contracts: list[Contract] = []


def contract_of(app: FastAPI) -> Contract:
    """What all applications hold to. To describe one takes longer than most tests do, so it is done once."""
    if not _contracts:
        _contracts.append(Contract(app.openapi()))
    return _contracts[0]


@asynccontextmanager
async def calling(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    contract = contract_of(app)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=app),
        base_url="http://api",
        event_hooks={"response": [contract.check]},
    ) as client:
        yield client


@pytest.fixture
async def api(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """Calls the application."""
    async with calling(app) as client:
        yield client


@pytest.fixture
def api_with(settings: Settings) -> Callable[..., Any]:
    """Calls an application with some settings changed: `async with api_with(queue_cap=1) as api`."""

    @asynccontextmanager
    async def with_changes(**changes: Any) -> AsyncIterator[httpx2.AsyncClient]:
        async with started(settings.model_copy(update=changes)) as app, calling(app) as client:
            yield client

    return with_changes


@pytest.fixture
def live_url(settings: Settings) -> Iterator[str]:
    """The address of an API that serves real connections, from a thread."""
    port = free_port()
    server = make_server(settings.model_copy(update={"api_port": port}))
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 10
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def serving(worker: HandWorker) -> Iterator[None]:
    """Ends every job while the test runs: input `{"text": "boom"}` fails, any other succeeds with its own text."""
    over = threading.Event()

    def serve() -> None:
        while not over.wait(0.005):
            jobs = worker.claim()
            # A pass lasts no shorter than the worker says.
            time.sleep(1.2 * PASS_MS / 1000 if jobs else 0)
            for job in jobs:
                text = orjson.loads(job.input)["text"]
                worker.fail(job) if text == "boom" else worker.succeed(job, orjson.dumps(text))

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.fixture
def slow_worker(connection: SyncRedis, keys: Keys) -> None:
    """Says that it takes a second for each job, and takes none."""
    presence = WorkerPresence(
        id="w1",
        worker_class="on-demand",
        host="h",
        pid=1,
        device="cpu",
        tiers=tuple(Tier),
        state=WorkerState.READY,
        models={"greeter@1": ModelPresence(state=ModelState.READY, job_s=SLOW_JOB_S)},
        started_ms=0,
    )
    connection.client.set(keys.worker("w1"), presence.to_bytes())
    connection.client.zadd(keys.workers, {"w1": 1})


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the commands that the API sends, the feed's own apart; to be asked for before the API is started."""
    sent: list[str] = []
    run, run_both = Mux.run, Mux.run_both

    def note(op: RedisOp[Any]) -> None:
        name = op.script.name if op.script else str(op.args[0])
        if name not in {"XREAD", "XREVRANGE"}:
            sent.append(name)

    async def noting(self: Mux, op: RedisOp[Any]) -> Any:
        note(op)
        return await run(self, op)

    async def noting_both(self: Mux, first: RedisOp[Any], second: RedisOp[Any]) -> Any:
        note(first)
        note(second)
        return await run_both(self, first, second)

    monkeypatch.setattr(Mux, "run", noting)
    monkeypatch.setattr(Mux, "run_both", noting_both)
    return sent


@pytest.fixture
def services(app: FastAPI) -> Services:
    """The parts of the started application."""
    services: Services = app.state.services
    return services


@pytest.fixture
def worker(connection: SyncRedis, store: JobStore) -> HandWorker:
    """A worker's part, played by hand."""
    return HandWorker(connection, store)


@pytest.fixture
def queued(connection: SyncRedis, store: JobStore) -> Callable[[], int]:
    """Counts the jobs that wait for the greeter in any tier."""

    def count() -> int:
        groups = [group_of(ModelRef("greeter", 1), tier) for tier in Tier]
        return sum(queue.depth for queue in connection.run(store.depths(groups)))

    return count
