"""`latency`: what one job costs when nothing else is to be done, in round trips and in empty requests.

A no-op model, one client, an idle worker. *Store*: submit, and wait on the event stream for the end, which brings the
result, over a PING of the same connection. The wait leaves in one write with the submit, so it stands before the job
ends, as the API's always does; in *store, then wait* it leaves when the submit has been answered. *HTTP*: POST with
`Prefer: wait` over a POST to a route of the same application that does nothing, on the same kept-alive connection. The
two of a pair take turns, so both see the same machine.
"""

import argparse
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from api.ends import read_end
from bench.drain import running_server
from bench.headrace_side import HeadraceSide
from bench.report import Report, summarize
from bench.service import Service
from headrace.environments import as_environment
from headrace.ids import new_job_id
from headrace.jobs import NewJob
from headrace.redis_op import RedisOp, Reply
from headrace.tiers import Tier
from scheduler.embedded_server import free_port

#: The route of `empty_route`.
EMPTY_PATH = "/bench/empty"

_TENANT = "default"
_INPUT = b'"hello"'
_WAIT_MS = 10_000
_START_LIMIT_S = 60.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument("--jobs", type=int, default=1000, help="jobs of each kind in a round")
    parser.add_argument("--pairs", type=int, default=5, help="rounds")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say."""
    jobs, rounds = (50, 1) if options.smoke else (options.jobs, options.pairs)
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        server = stack.enter_context(running_server(folder / "redis"))
        side = HeadraceSide(folder=folder, server=server, model="noop", parameters={"max_batch": 64}, tiers=tuple(Tier))
        stack.enter_context(side)
        store, http_pair = StorePath(side), stack.enter_context(HttpPath(side, folder=folder))
        runs = []
        for number in range(1, rounds + 1):
            runs.append(_figures("store", "ping", *measure(store.job, store.ping, jobs)))
            runs[-1] |= _figures("store_then_wait", "then_ping", *measure(store.job_then_wait, store.ping, jobs))
            runs[-1] |= _figures("http", "empty_route", *measure(http_pair.job, http_pair.empty, jobs))
            print(f"round {number} of {rounds}: {runs[-1]}", file=sys.stderr, flush=True)
    figures, spread = summarize(runs)
    return Report(bench="latency", figures=figures | {"jobs": jobs}, spread=spread)


def measure(ours: Callable[[], None], floor: Callable[[], None], times: int) -> tuple[list[float], list[float]]:
    """Seconds of each, one after the other, after some that do not count."""
    for _ in range(max(5, times // 20)):
        ours()
        floor()
    ours_s, floor_s = [], []
    for _ in range(times):
        ours_s.append(_seconds(ours))
        # A worker tidies up after its job. What meets that is no floor, and does not count.
        floor()
        floor_s.append(_seconds(floor))
    return sorted(ours_s), sorted(floor_s)


def _seconds(act: Callable[[], None]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _figures(name: str, floor_name: str, ours: Sequence[float], floor: Sequence[float]) -> dict[str, float]:
    p50, floor_p50 = statistics.median(ours), statistics.median(floor)
    return {
        f"{name}_p50_over_{floor_name}": p50 / floor_p50,
        f"{name}_p50_ms": p50 * 1000,
        f"{name}_p99_ms": ours[len(ours) * 99 // 100] * 1000,
        f"{floor_name}_p50_ms": floor_p50 * 1000,
        f"{floor_name}_p99_ms": floor[len(floor) * 99 // 100] * 1000,
    }


class StorePath:
    """Jobs handed in and fetched through the store, without the API."""

    def __init__(self, side: HeadraceSide) -> None:
        self._side = side
        self._run = side.redis.run
        self._last = b"0-0"

    def ping(self) -> None:
        """One round trip."""
        self._run(RedisOp(_as_is, ("PING",)))

    def job(self) -> None:
        """From submit to result; the wait leaves with the submit."""
        job = self._new_job()
        _, told = self._side.redis.run_all([self._submit(job), self._wait(job)])
        self._check(job, told)

    def job_then_wait(self) -> None:
        """The same; the wait leaves when the submit has been answered."""
        job = self._new_job()
        self._run(self._submit(job))
        self._check(job, self._run(self._wait(job)))

    def _new_job(self) -> NewJob:
        ref = self._side.ref
        job_id = new_job_id(cell=self._side.store.keys.cell, tenant=_TENANT, key=b"bench")
        return NewJob(id=job_id, tenant=_TENANT, ref=ref, tier=Tier.STANDARD, input=_INPUT, is_awaited=True)

    def _submit(self, job: NewJob) -> RedisOp[Any]:
        return self._side.store.submit(job, cap=1_000_000)

    def _wait(self, job: NewJob) -> RedisOp[Any]:
        """Read on in the events: how the job has ended, empty if they do not say."""
        command = ("XREAD", "BLOCK", _WAIT_MS, "STREAMS", self._side.store.keys.events, self._last)
        return RedisOp(lambda reply: self._told(job.member.encode(), reply), command)

    def _told(self, member: bytes, reply: Reply) -> bytes:
        [[_, entries]] = reply
        self._last = entries[-1][0]
        ends = (dict(zip(fields[2::2], fields[3::2], strict=True)) for _, fields in entries)
        return next((bytes(told[member]) for told in ends if member in told), b"")

    def _check(self, job: NewJob, told: bytes) -> None:
        while not told:
            told = self._run(self._wait(job))
        end = read_end(job.member, told)
        if end is None or end[1] != _INPUT:
            raise ValueError(f"{job.member} has another result than its input: {end}")


class HttpPath:
    """Jobs handed in over HTTP, and requests that do nothing, over one connection."""

    def __init__(self, side: HeadraceSide, *, folder: Path) -> None:
        port = free_port()
        self._service = Service(
            command=[sys.executable, "-m", "bench.empty_route"],
            log=folder / "api.log",
            environment=as_environment(side.settings.model_copy(update={"api_port": port})),
        )
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._body = json.dumps({"model": side.ref.name, "input": "hello"}).encode()

    def __enter__(self) -> "HttpPath":
        self._service.wait_for("serving", self._is_up, limit_s=_START_LIMIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._service.close()

    def _is_up(self) -> bool:
        try:
            self.empty()
            self.job()
        except (OSError, http.client.HTTPException, ValueError):
            self._connection.close()
            return False
        return True

    def empty(self) -> None:
        """A request that does nothing."""
        self._post(EMPTY_PATH, {}, 200)

    def job(self) -> None:
        """A job whose result comes with the answer."""
        document = json.loads(self._post("/v1/jobs", {"Prefer": "wait=10"}, 200))
        if document["result"] != "hello":
            raise ValueError(f"the result is {document['result']!r}")

    def _post(self, path: str, headers: dict[str, str], expected: int) -> bytes:
        kind = {"Content-Type": "application/json"}
        self._connection.request("POST", path, self._body, kind | headers)
        response = self._connection.getresponse()
        body = response.read()
        if response.status != expected:
            raise ValueError(f"{path} answered {response.status}: {body[:200]!r}")
        return body


def _as_is(reply: Reply) -> Reply:
    return reply
