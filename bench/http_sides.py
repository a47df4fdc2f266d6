"""What `http` sends its requests to: our API, a route that does nothing, celery-batches behind a front like ours."""

import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import httpx2

from bench.celery_batches_side import CeleryBatchesSide
from bench.headrace_side import HeadraceSide
from bench.http_load import LoadPlan, LoadResult
from bench.meter import process_cpu_s
from bench.service import ROOT, Service, ServiceFailed
from headrace.environments import as_environment
from scheduler.embedded_server import free_port

_START_LIMIT_S = 60.0
_LOAD_LIMIT_S = 300.0


class Served(NamedTuple):
    """What a load did to a server."""

    load: LoadResult
    #: Of the server's process, all threads.
    cpu_s: float

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU for one request."""
        return self.cpu_s / self.load.requests * 1e6


class HttpSide:
    """A server of HTTP in one process of its own.

    Args:
        command: that starts it, listening at `port` of this host.
        port: where it listens.
        log: file that takes its output.
        environment: variables on top of our own.
        first: a request that it answers once it serves.
    """

    def __init__(
        self, *, command: list[str], port: int, log: Path, environment: Mapping[str, str], first: LoadPlan
    ) -> None:
        self._service = Service(command=command, log=log, environment=environment)
        self._first = replace(first, port=port)
        self._port = port

    def __enter__(self) -> "HttpSide":
        with ExitStack() as stack:
            stack.enter_context(self._service)
            self._service.wait_for("serving", self._is_up, limit_s=_START_LIMIT_S)
            self._resources = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def serve(self, plan: LoadPlan) -> Served:
        """Send it a load from a process of its own; `plan.port` is set here.

        Raises:
            ServiceFailed: if an answer was not as it must be.
        """
        before_s = process_cpu_s(self._service.pid)
        result = _send(replace(plan, port=self._port))
        return Served(result, process_cpu_s(self._service.pid) - before_s)

    def _is_up(self) -> bool:
        first = self._first
        url = f"http://127.0.0.1:{self._port}{first.path}"
        try:
            answer = httpx2.post(url, content=first.body, headers=first.headers, timeout=15)
        except httpx2.HTTPError:
            return False
        return answer.status_code == first.status


def _send(plan: LoadPlan) -> LoadResult:
    done = subprocess.run(
        [sys.executable, "-m", "bench.http_load"],
        input=json.dumps(asdict(plan)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=_LOAD_LIMIT_S,
    )
    if done.returncode:
        raise ServiceFailed(f"the load on {plan.path} failed: {done.stderr[-2000:]}")
    return LoadResult(**json.loads(done.stdout))


def our_api(side: HeadraceSide, *, folder: Path, first: LoadPlan) -> HttpSide:
    """`python -m api` before a worker that runs."""
    port = free_port()
    settings = side.settings.model_copy(update={"api_port": port})
    command, log = [sys.executable, "-m", "api"], folder / "api.log"
    return HttpSide(command=command, port=port, log=log, environment=as_environment(settings), first=first)


def typed_route(*, folder: Path, first: LoadPlan) -> HttpSide:
    """A route that checks the same body and does nothing."""
    port = free_port()
    command = [sys.executable, "-m", "bench.typed_route", str(port)]
    return HttpSide(command=command, port=port, log=folder / "typed.log", environment={}, first=first)


def celery_batches_front(side: CeleryBatchesSide, *, folder: Path, first: LoadPlan) -> HttpSide:
    """A minimal FastAPI before a worker of celery-batches that runs."""
    port = free_port()
    command = [side.python, str(Path(__file__).parent / "celery_batches_front.py"), str(port)]
    return HttpSide(command=command, port=port, log=folder / "front.log", environment=side.environment, first=first)
