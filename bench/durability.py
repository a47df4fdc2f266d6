"""`durability`: what strict durability costs a submission, against everysec, at one caller and at many.

Three servers, one after the other, each with its API process: jobs accepted when Redis has stored them (*everysec*),
when its disk has followed at the next of its syncs, about once a second (*strict_everysec*), and when its disk has
followed with Redis syncing after each turn of its loop (*strict_always*).
"""

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, NamedTuple

import httpx2

from bench.report import Report
from bench.service import Service
from headrace.environments import as_environment
from headrace.settings import Settings
from registry.registry import Registry
from scheduler.embedded_server import EmbeddedServer, free_port

_MODEL = Path(__file__).parent / "models" / "noop"
_START_LIMIT_S = 60.0


class _Mode(NamedTuple):
    durability: Literal["everysec", "strict"]
    appendfsync: str


MODES = {
    "everysec": _Mode("everysec", "everysec"),
    "strict_everysec": _Mode("strict", "everysec"),
    "strict_always": _Mode("strict", "always"),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what this benchmark understands besides the common options."""
    parser.add_argument("--clients", type=int, default=64, help="callers at once")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement")


def run(options: argparse.Namespace) -> Report:
    """Measure as `options` say."""
    seconds = 1.5 if options.smoke else options.seconds
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        for name, mode in MODES.items():
            print(f"measuring {name}", file=sys.stderr, flush=True)
            figures |= _measure(name, mode, Path(folder) / name, clients=options.clients, seconds=seconds)
    figures["strict_everysec_over_everysec"] = figures["strict_everysec_per_s"] / figures["everysec_per_s"]
    figures["strict_always_over_everysec"] = figures["strict_always_per_s"] / figures["everysec_per_s"]
    return Report(bench="durability", figures={k: round(v, 4) for k, v in figures.items()}, spread={})


def _measure(name: str, mode: _Mode, folder: Path, *, clients: int, seconds: float) -> dict[str, float]:
    with ExitStack() as stack:
        server = EmbeddedServer(folder=folder / "redis", port=free_port(), options={"appendfsync": mode.appendfsync})
        server.start()
        stack.callback(server.stop)
        url = _start_api(stack, server, mode, folder)
        alone = asyncio.run(_submit(url, clients=1, seconds=seconds))
        many = asyncio.run(_submit(url, clients=clients, seconds=seconds))
    return {
        f"{name}_per_s": len(many) / seconds,
        f"{name}_p50_ms": statistics.median(many),
        f"{name}_alone_p50_ms": statistics.median(alone),
    }


def _start_api(stack: ExitStack, server: EmbeddedServer, mode: _Mode, folder: Path) -> str:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = Settings(
        redis_url=server.url,
        data_dir=folder,
        api_port=port,
        url=url,
        queue_cap=10_000_000,
        durability=mode.durability,
        log_level="WARNING",
    )
    source = folder / "source"
    shutil.copytree(_MODEL, source)
    (source / "parameters.json").write_text(json.dumps({"max_batch": 64}))
    Registry(url=settings.registry_location).push(source, name="noop")
    command = [sys.executable, "-m", "api"]
    api = Service(command=command, log=folder / "api.log", environment=as_environment(settings))
    api = stack.enter_context(api)
    api.wait_for("ready", lambda: _is_ready(url), limit_s=_START_LIMIT_S)
    return url


def _is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", timeout=2).status_code == 200
    except httpx2.HTTPError:
        return False


async def _submit(url: str, *, clients: int, seconds: float) -> list[float]:
    """Milliseconds that each submission took; each caller sends its next when the last was answered."""
    took_ms: list[float] = []
    until = time.perf_counter() + seconds
    body = {"model": "noop", "input": "x"}

    async def caller(client: httpx2.AsyncClient) -> None:
        while (began := time.perf_counter()) < until:
            (await client.post("/v1/jobs", json=body)).raise_for_status()
            took_ms.append(1000 * (time.perf_counter() - began))

    async with httpx2.AsyncClient(base_url=url, timeout=30) as client:
        await asyncio.gather(*(caller(client) for _ in range(clients)))
    return took_ms
