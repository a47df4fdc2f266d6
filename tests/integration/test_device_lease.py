"""GPUs are leased: no two workers have the same one, and that of a dead worker goes to the next."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from headrace.environments import as_environment
from headrace.keys import Keys
from headrace.redis_op import RedisOp
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.worker_class import WorkerClass
from registry.registry import Registry
from tests.integration.engine_rig import wait_until
from tests.integration.submitting import submit_words
from workers.device_lease import DeviceLease, leased_device

DEVICES = ("GPU-a", "GPU-b")
#: For processes, on a machine that does much else.
LIMIT_S = 60.0
MakeLease = Callable[..., DeviceLease]


@pytest.fixture
def make_lease(redis_url: str, keys: Keys) -> Iterator[MakeLease]:
    made: list[DeviceLease] = []

    def make(*, ttl_ms: int = 30_000, on_lost: Callable[[], None] = lambda: None) -> DeviceLease:
        lease = DeviceLease(url=redis_url, keys=keys, ttl_ms=ttl_ms, on_lost=on_lost)
        made.append(lease)
        return lease

    yield make
    for lease in made:
        lease.close()


def test_workers_get_different_devices_and_one_too_many_gets_none(make_lease: MakeLease) -> None:
    taken = [make_lease().take(DEVICES) for _ in range(3)]

    assert ["GPU-a", "GPU-b", None] == taken


def test_a_device_that_is_given_back_goes_to_who_waits(make_lease: MakeLease) -> None:
    first, waiting = make_lease(), make_lease()
    first.take(DEVICES[:1])
    got: list[str] = []
    thread = threading.Thread(target=lambda: got.append(waiting.wait(DEVICES[:1])))
    thread.start()

    first.close()
    thread.join(20)

    assert ["GPU-a"] == got


def test_a_device_is_kept_beyond_the_time_of_its_lease(
    make_lease: MakeLease, connection: SyncRedis, keys: Keys
) -> None:
    make_lease(ttl_ms=300).take(DEVICES[:1])
    renewed: set[int] = set()

    def is_renewed_twice() -> bool:
        left_ms = connection.run(RedisOp(int, ("PTTL", keys.device("GPU-a"))))
        assert left_ms > 0
        if left_ms > 250:
            renewed.add(connection.run(RedisOp(lambda reply: int(reply[0]), ("TIME",))))
        return len(renewed) >= 2

    wait_until(is_renewed_twice)

    assert make_lease().take(DEVICES[:1]) is None


def test_a_worker_that_lost_its_device_is_told(make_lease: MakeLease, connection: SyncRedis, keys: Keys) -> None:
    lost = threading.Event()
    make_lease(ttl_ms=300, on_lost=lost.set).take(DEVICES[:1])

    connection.run(RedisOp(bytes, ("SET", keys.device("GPU-a"), "another worker")))

    assert lost.wait(20)


def test_closing_does_not_give_back_what_another_worker_has(
    make_lease: MakeLease, connection: SyncRedis, keys: Keys
) -> None:
    lease = make_lease()
    lease.take(DEVICES[:1])
    connection.run(RedisOp(bytes, ("SET", keys.device("GPU-a"), "another worker")))

    lease.close()

    assert connection.run(RedisOp(bytes, ("GET", keys.device("GPU-a")))) == b"another worker"


def test_where_two_share_a_device_the_second_place_is_taken_next_and_its_worker_sees_the_device_itself(
    make_lease: MakeLease, redis_url: str, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "none so far")
    before = signal.getsignal(signal.SIGTERM)
    gpu = WorkerClass(device="cuda", devices=("GPU-a",), slots=2)
    settings = Settings(redis_url=redis_url, cell=keys.cell, worker_classes={"gpu": gpu})
    assert "GPU-a" == make_lease().take(["GPU-a"])

    with leased_device(settings, "gpu") as device:
        seen = os.environ["CUDA_VISIBLE_DEVICES"]
        third = make_lease().take(["GPU-a", "GPU-a/1"])

    signal.signal(signal.SIGTERM, before)
    assert ("GPU-a", "GPU-a", None) == (device, seen, third)
    assert "GPU-a/1" == make_lease().take(["GPU-a", "GPU-a/1"])


@pytest.mark.parametrize("class_name", ["on-demand", "courier"])
def test_a_class_without_gpus_takes_no_device(class_name: str, redis_url: str) -> None:
    with leased_device(Settings(redis_url=redis_url), class_name) as device:
        assert device is None


SOURCE = """
import os
from headrace.model import Model

class Where(Model, max_batch=1):
    def forward(self, batch: list[str]) -> list[str]:
        return [os.environ.get("CUDA_VISIBLE_DEVICES", "") for _ in batch]
"""


class Fleet:
    """Worker processes that share two devices which do not exist, on the shared server."""

    def __init__(self, *, url: str, keys: Keys, folder: Path) -> None:
        self._settings = Settings.model_validate(
            {
                "redis_url": url,
                "cell": keys.cell,
                "data_dir": folder,
                "lease_ms": 1500,
                "registry_poll_s": 0.2,
                "worker_classes": {"gpu": {"devices": DEVICES}},
            }
        )
        self._redis, self._store = SyncRedis(url=url), JobStore(keys)
        source = folder / "source"
        source.mkdir()
        (source / "model.py").write_text(SOURCE)
        self._ref = Registry(url=self._settings.registry_location).push(source, name="where").manifest.ref
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self, *names: str) -> None:
        for name in names:
            command = [sys.executable, "-m", "workers", "--worker-class", "gpu", "--name", name]
            environment = dict(os.environ) | as_environment(self._settings)
            self.workers.append(
                subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )

    def holders(self) -> set[str]:
        """Process ids of the workers that have devices."""
        keys = [self._store.keys.device(device) for device in DEVICES]
        values = self._redis.run(RedisOp(lambda reply: [value for value in reply if value], ("MGET", *keys)))
        return {value.decode().split(":")[1] for value in values}

    def where(self) -> str:
        """The devices that the model's process sees which runs the next job."""
        [member] = submit_words(self._redis, self._store, self._ref, ["?"])
        output: list[bytes] = []

        def is_done() -> bool:
            found = self._redis.run(self._store.output(member))
            output.extend([found] if found else [])
            return bool(output)

        wait_until(is_done, limit_s=LIMIT_S)
        return output[0].decode().strip('"')

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self._redis.close()


@pytest.mark.slow
def test_replicas_use_different_gpus_and_one_that_waited_takes_over(redis_url: str, keys: Keys, tmp_path: Path) -> None:
    fleet = Fleet(url=redis_url, keys=keys, folder=tmp_path)
    try:
        fleet.start("w1", "w2")
        wait_until(lambda: len(fleet.holders()) == 2, limit_s=LIMIT_S)
        fleet.start("w3")
        seen = fleet.where()
        w1, _, w3 = fleet.workers

        w1.terminate()
        status = w1.wait(LIMIT_S)
        wait_until(lambda: str(w3.pid) in fleet.holders(), limit_s=LIMIT_S)

        assert seen in DEVICES
        assert status == 0
        assert len(fleet.holders()) == 2
    finally:
        fleet.close()
