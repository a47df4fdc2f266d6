"""`webhooks`: what telling ends costs, beside a bare client, a busy worker, hostile receivers and a plain commit.

Four measurements. *throughput*: one courier empties its outbox to one receiver, and a bare loop of the same HTTP client
posts as much to it (`ratio_to_bare_client`). *hostile*: how long a healthy receiver waits for its events alone and
among twelve that hang, fail, drip and flood. *drain*: what 100 deliveries a second cost a worker whose model sleeps.
*commit*: CPU of Redis for ending a job that names a webhook, beyond one that does not.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path

from bench.bare_posts import measure_in_child
from bench.couriers import CourierSide, Ends
from bench.drain import repeat, running_server
from bench.headrace_side import HeadraceSide
from bench.hostile import hostile, untrusted_tls
from bench.listeners import listening
from bench.meter import server_cpu_s
from bench.report import Report, summarize
from headrace.ids import new_job_id
from headrace.keys import Keys
from headrace.store import JobStore
from headrace.store_work import Outcome
from headrace.sync_redis import SyncRedis

PARTS = ("throughput", "hostile", "drain", "commit")
#: Like the events that the courier sends.
_BODY_BYTES = 620
_BATCH = 64
#: Batches that are committed one after the other.
_TURN = 8
_RATE = 100
_HEALTHY_RATE = 20
_STEP_S = 0.1


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument("--part", choices=PARTS, action="append", help="measure only this; may be repeated")
    parser.add_argument("--pairs", type=int, default=5, help="interleaved repetitions")
    parser.add_argument("--events", type=int, default=3_000, help="deliveries of one measurement of throughput")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long a healthy receiver is watched")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say."""
    if options.smoke:
        options.pairs, options.events, options.seconds = 1, 200, 2.0
    figures: dict[str, float] = {}
    spread: dict[str, tuple[float, float]] = {}
    measures = {"throughput": _throughput, "hostile": _hostile, "drain": _drain, "commit": _commit}
    for part in options.part or PARTS:
        print(f"measuring {part}", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
            found, ranges = summarize(measures[part](options, Path(folder)))
        figures |= found
        spread |= ranges
    return Report(bench="webhooks", figures=figures | {"pairs": options.pairs}, spread=spread)


def _throughput(options: argparse.Namespace, folder: Path) -> list[dict[str, float]]:
    events = options.events

    def pair() -> dict[str, float]:
        tasks = side.settings.webhook_receiver_concurrency
        bare_s = measure_in_child(side.url, count=events, tasks=tasks, size=_BODY_BYTES)
        side.pause()
        members = side.ends.make([side.url] * events)
        cpu_s, began = side.cpu_s, time.time()
        side.resume()
        took_s = max(side.tell(members).values()) - began
        return {
            "ratio_to_bare_client": bare_s / took_s,
            "deliveries_per_s": events / took_s,
            "bare_client_per_s": events / bare_s,
            "courier_cpu_us_per_delivery": (side.cpu_s - cpu_s) / events * 1e6,
        }

    with running_server(folder / "redis") as server, CourierSide(folder=folder, server=server) as side:
        return repeat(options.pairs, pair)


def _hostile(options: argparse.Namespace, folder: Path) -> list[dict[str, float]]:
    with running_server(folder / "redis") as server, CourierSide(folder=folder, server=server) as side:
        alone_ms = _p95_ms(side, options.seconds)
        with _hostile_receivers(folder) as urls:
            side.ends.make(urls * 20)
            among_ms = _p95_ms(side, options.seconds, others=urls)
    return [
        {
            "healthy_p95_ms": alone_ms,
            "healthy_p95_among_hostile_ms": among_ms,
            "healthy_p95_over_undisturbed": among_ms / alone_ms,
        }
    ]


def _p95_ms(side: CourierSide, seconds: float, others: Sequence[str] = ()) -> float:
    """From the end of a job until its receiver hears of it; `others` are told of one end a second each."""
    ended: dict[str, float] = {}
    began = time.monotonic()
    for number in range(round(seconds * _HEALTHY_RATE)):
        time.sleep(max(0.0, began + number / _HEALTHY_RATE - time.monotonic()))
        if number % _HEALTHY_RATE == 0 and others:
            side.ends.make(others)
        at = time.time()
        ended |= dict.fromkeys(side.ends.make([side.url]), at)
    heard = side.tell(ended)
    took_ms = [1000 * (heard[member] - at) for member, at in ended.items()]
    return statistics.quantiles(took_ms, n=20)[-1]


@contextmanager
def _hostile_receivers(folder: Path) -> Iterator[list[str]]:
    """All of them, on a loop in a thread of their own; gives their URLs."""
    urls: list[str] = []
    is_up, loop = threading.Event(), asyncio.new_event_loop()

    async def listen(is_over: asyncio.Event) -> None:
        tls = untrusted_tls(folder)
        async with AsyncExitStack() as stack:
            for each in hostile(trap_port=9).values():
                listener = await stack.enter_async_context(
                    listening(each.behaviour, tls=tls if each.speaks_tls else None)
                )
                urls.append(listener.url.replace("http:", "https:") if each.speaks_tls else listener.url)
            is_up.set()
            await is_over.wait()

    is_over = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(listen(is_over)))
    thread.start()
    is_up.wait(30)
    try:
        yield urls
    finally:
        loop.call_soon_threadsafe(is_over.set)
        thread.join()
        loop.close()


def _drain(options: argparse.Namespace, folder: Path) -> list[dict[str, float]]:
    jobs = 640 if options.smoke else 25_600
    (folder / "courier").mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(running_server(folder / "redis"))
        side = stack.enter_context(CourierSide(folder=folder / "courier", server=server))
        parameters = {"forward_ms": 10.0, "max_batch": _BATCH}
        worker = stack.enter_context(
            HeadraceSide(folder=folder / "worker", server=server, model="sleep", parameters=parameters)
        )
        worker.drain(jobs // 5)

        def pair() -> dict[str, float]:
            alone = worker.drain(jobs)
            with _telling(side):
                beside = worker.drain(jobs)
            return {"drain_slowdown_at_100_per_s": 1 - beside.rate / alone.rate, "drain_jobs_per_s": alone.rate}

        return repeat(options.pairs, pair)


@contextmanager
def _telling(side: CourierSide) -> Iterator[None]:
    """Ends of jobs are told, so many a second, as long as the block lasts."""
    is_over, members = threading.Event(), list[str]()

    def feed() -> None:
        while not is_over.wait(_STEP_S):
            members.extend(side.ends.make([side.url] * round(_RATE * _STEP_S)))

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        side.tell(members)


def _commit(options: argparse.Namespace, folder: Path) -> list[dict[str, float]]:
    """By turns a few batches of either kind, since what else runs on the machine changes from second to second.

    No courier runs: what it does is not part of a commit.
    """
    turns = 2 if options.smoke else 20
    with running_server(folder) as server, ExitStack() as stack:
        redis = SyncRedis(url=server.url, timeout_s=30)
        stack.callback(redis.close)
        ends = Ends(redis=redis, store=JobStore(Keys(cell="c1")))

        def claimed(url: str) -> list[Sequence[Outcome]]:
            ids = [[new_job_id(cell="c1", tenant="default", key=b"b") for _ in range(_BATCH)] for _ in range(_TURN)]
            return [ends.claim(some, [url] * _BATCH) for some in ids]

        def cost_us(url: str) -> float:
            batches = claimed(url)
            before_s = server_cpu_s(redis.client)
            for some in batches:
                ends.commit(some)
            return (server_cpu_s(redis.client) - before_s) / (_TURN * _BATCH) * 1e6

        def pair() -> dict[str, float]:
            redis.client.delete(ends.outbox)  # a courier keeps it short
            costs = [(cost_us(""), cost_us("https://example.com/hook")) for _ in range(turns)]
            return {
                "commit_hook_redis_us_per_job": statistics.median(
                    hooked_us - plain_us for plain_us, hooked_us in costs
                ),
                "commit_redis_us_per_job": statistics.median(plain_us for plain_us, _ in costs),
            }

        cost_us("")
        return repeat(options.pairs, pair)
