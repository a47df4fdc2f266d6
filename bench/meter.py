"""Takes the time and the CPU that processes and a Redis server use between two moments."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import redis


class Drained(NamedTuple):
    """What emptying a backlog took. CPU is in microseconds per job, by part."""

    jobs: int
    seconds: float
    cpu_us: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Jobs per second."""
        return self.jobs / self.seconds


class Meter:
    """Measures from its making to `read`.

    Args:
        client: the server whose main thread is measured as `redis`.
        pids: further processes by the part they play.
    """

    def __init__(self, *, client: "redis.Redis", pids: Mapping[str, int]) -> None:
        self._client = client
        self._pids = pids
        self._cpu_s = self._cpu_now_s()
        self._began_s = time.perf_counter()

    def read(self, jobs: int) -> Drained:
        """What happened since the making, spread over `jobs`."""
        seconds = time.perf_counter() - self._began_s
        now_s = self._cpu_now_s()
        cpu_us = {part: (now_s[part] - self._cpu_s[part]) / jobs * 1e6 for part in now_s}
        return Drained(jobs, seconds, cpu_us)

    def _cpu_now_s(self) -> dict[str, float]:
        return {
            "redis": server_cpu_s(self._client),
            **{part: process_cpu_s(pid) for part, pid in self._pids.items()},
        }


def server_cpu_s(client: "redis.Redis") -> float:
    """CPU seconds of a server's main thread, where all commands run."""
    info = client.info("cpu")
    return float(info["used_cpu_user_main_thread"] + info["used_cpu_sys_main_thread"])


def process_cpu_s(pid: int) -> float:
    """CPU seconds of all living threads, in the scheduler's nanoseconds (`/proc/<pid>/stat` has 10 ms ticks)."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9
