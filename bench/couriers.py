"""A courier to be measured: a real worker process on a server of its own, and ends of jobs for it to tell."""

import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from ipaddress import IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bench.event_receiver import heard
from bench.meter import process_cpu_s
from bench.service import Service, ServiceFailed
from headrace.delivery_store import DeliveryStore
from headrace.environments import as_environment
from headrace.groups import group_of
from headrace.ids import new_job_id
from headrace.jobs import JobStatus, NewJob
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.store_work import ClaimSize, Outcome
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from headrace.webhooks import COURIER_CLASS, event_id_of
from scheduler.embedded_server import EmbeddedServer, free_port

TENANT: Final = "default"
_REF = ModelRef("ended", 1)
_RESULT = b'"' + b"x" * 198 + b'"'
_BATCH = 64
_TTL_S = 3_600
_START_LIMIT_S = 60.0
_TELL_LIMIT_S = 120.0


def loopback_settings(server: EmbeddedServer, folder: Path) -> Settings:
    """Of a courier that may tell receivers on this machine."""
    return Settings(
        redis_url=server.url,
        data_dir=folder,
        log_level="WARNING",
        webhook_allow_networks=(IPv4Network("127.0.0.0/8"),),
    )


class Ends:
    """Ends jobs of a model that nobody serves, so that there is something to tell."""

    def __init__(self, *, redis: SyncRedis, store: JobStore) -> None:
        self._redis, self._store = redis, store
        self.outbox = store.keys.outbox

    def make(self, urls: Sequence[str]) -> list[str]:
        """End one job for each URL, empty for none; answers their members."""
        cell = self._store.keys.cell
        job_ids = [new_job_id(cell=cell, tenant=TENANT, key=b"bench") for _ in urls]
        for start in range(0, len(urls), _BATCH):
            self.commit(self.claim(job_ids[start : start + _BATCH], urls[start : start + _BATCH]))
        return [f"{TENANT}/{job_id}" for job_id in job_ids]

    def claim(self, job_ids: Sequence[str], urls: Sequence[str]) -> list[Outcome]:
        """Submit jobs and claim them; answers the outcomes with which they are to end."""
        jobs = [
            NewJob(id=job_id, tenant=TENANT, ref=_REF, tier=Tier.STANDARD, input=b'"x"', webhook_url=url)
            for job_id, url in zip(job_ids, urls, strict=True)
        ]
        self._redis.run_all([self._store.submit(job, cap=1_000_000) for job in jobs])
        size, groups = ClaimSize(len(jobs), len(jobs), 1 << 20, 0), (group_of(_REF, Tier.STANDARD),)
        claimed = self._redis.run(self._store.claim(worker="bench", groups=groups, size=size, lease_ms=60_000))
        return [Outcome(job.lease, JobStatus.SUCCEEDED, None, _RESULT) for job in claimed.jobs]

    def commit(self, outcomes: Sequence[Outcome]) -> None:
        """End them."""
        self._redis.run(self._store.commit(outcomes, ran_ms=1, result_ttl_s=_TTL_S))


class CourierSide:
    """A courier and a receiver that costs next to nothing.

    Args:
        folder: where output goes.
        server: where the outbox is.
    """

    def __init__(self, *, folder: Path, server: EmbeddedServer) -> None:
        self._folder = folder
        self.settings = loopback_settings(server, folder)
        keys = Keys(cell=self.settings.cell)
        self.store, self.deliveries = JobStore(keys), DeliveryStore(keys)
        self.redis = SyncRedis(url=server.url, timeout_s=30)
        self.ends = Ends(redis=self.redis, store=self.store)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/hook"
        self._resources = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self.redis.close)
            self._receiver = stack.enter_context(self._start("bench.event_receiver", str(self.port)))
            self._receiver.wait_for("listening", self._is_listening, limit_s=_START_LIMIT_S)
            self._courier = stack.enter_context(
                self._start("workers", "--worker-class", COURIER_CLASS, "--name", "bench-courier")
            )
            self.tell(self.ends.make([self.url] * 16))
            self._resources = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.close()

    def _start(self, *arguments: str) -> Service:
        command = [sys.executable, "-m", *arguments]
        log = self._folder / f"{arguments[0]}.log"
        return Service(command=command, log=log, environment=as_environment(self.settings))

    def pause(self) -> None:
        """Stop the courier where it is, so that ends pile up."""
        os.kill(self._courier.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self._courier.pid, signal.SIGCONT)

    @property
    def cpu_s(self) -> float:
        """CPU seconds that the courier has used."""
        return process_cpu_s(self._courier.pid)

    def _is_listening(self) -> bool:
        try:
            heard(self.port)
        except OSError:
            return False
        return True

    def tell(self, members: Iterable[str]) -> dict[str, float]:
        """Wait until these ends are told; answers when each was heard first, Unix seconds by member.

        Raises:
            ServiceFailed: if some never are.
        """
        waiting, found = {event_id_of(f"{member}:1"): member for member in members}, dict[str, float]()
        until = time.monotonic() + _TELL_LIMIT_S
        while waiting:
            if time.monotonic() > until:
                raise ServiceFailed(f"{len(waiting)} ends were not told within {_TELL_LIMIT_S:g} s")
            news = heard(self.port)
            found |= {waiting.pop(event): at for event, at in news.items() if event in waiting}
            time.sleep(0.05)
        return found
