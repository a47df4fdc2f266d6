"""DeviceLease: one GPU for one worker, by a lease in Redis, so that workers that see the same GPUs do not share one.

Replicas of a container all see the same devices and would all use the first. The lease is kept by a thread with a
connection of its own as long as the process lives, whatever its event loop does: the model's process holds the device's
memory until then.
"""

import logging
import os
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType

from headrace.errors import RedisUnavailable
from headrace.keys import Keys
from headrace.redis_op import RedisOp, Script
from headrace.settings import Settings
from headrace.sync_redis import SyncRedis
from workers.devices import device_at, devices_of, places_on

log = logging.getLogger("headrace.devices")

_TIMEOUT_S = 2.0
_LOOK_S = 1.0


class DeviceLease:
    """Takes a device, keeps it, gives it back.

    Args:
        url: of Redis.
        keys: of the cell.
        ttl_ms: how long a silent worker keeps its device.
        on_lost: called from the lease's thread when another worker has the device.
    """

    def __init__(self, *, url: str, keys: Keys, ttl_ms: int, on_lost: Callable[[], None]) -> None:
        self._redis = SyncRedis(url=url, timeout_s=_TIMEOUT_S)
        self._keys = keys
        self._ttl_ms = ttl_ms
        self._on_lost = on_lost
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="headrace-device", daemon=True)
        #: The device that is held.
        self.device: str | None = None

    def take(self, devices: Sequence[str]) -> str | None:
        """Take a free device, and keep it from then on; None if others have them all.

        Raises:
            RedisUnavailable: if Redis does not answer.
        """
        place = self._redis.run(self._hold(devices))
        if not place:
            return None
        self.device = devices[place - 1]
        self._thread.start()
        return self.device

    def wait(self, devices: Sequence[str]) -> str:
        """Take a device as soon as one is free."""
        log_at = log.info
        while True:
            try:
                if device := self.take(devices):
                    return device
                log_at("all %s devices are taken: waiting for one", len(devices))
            except RedisUnavailable as error:
                log_at("no device can be taken: %s", error)
            log_at = log.debug
            self._closing.wait(_LOOK_S)

    def close(self) -> None:
        """Give the device back."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(2 * _TIMEOUT_S)
        try:
            if self.device is not None:
                self._redis.run(RedisOp(int, (self._prefix, self._holder, self.device), _script("drop_device")))
        except RedisUnavailable:
            log.info("the device is not given back: Redis does not answer; its lease runs out")
        self._redis.close()

    @property
    def _prefix(self) -> str:
        return self._keys.device("")

    def _hold(self, devices: Sequence[str]) -> RedisOp[int]:
        return RedisOp(int, (self._prefix, self._holder, self._ttl_ms, *devices), _script("hold_device"))

    def _keep(self) -> None:
        assert self.device is not None
        while not self._closing.wait(self._ttl_ms / 3000):
            try:
                if not self._redis.run(self._hold([self.device])):
                    log.error("another worker has %s now: this one stops", self.device)
                    self._on_lost()
                    return
            except RedisUnavailable as error:
                log.warning("the lease of %s could not be renewed: %s", self.device, error)


@contextmanager
def leased_device(settings: Settings, class_name: str) -> Iterator[str | None]:
    """Hold a device for this process, and let the processes that it starts see no other.

    Answers the device; None for a class that takes none, such as couriers and workers on CPUs.
    """
    worker_class = settings.worker_classes.get(class_name)
    devices = places_on(devices_of(worker_class), worker_class.slots) if worker_class else ()
    if not devices:
        yield None
        return
    lease = DeviceLease(
        url=settings.redis_url, keys=Keys(cell=settings.cell), ttl_ms=settings.lease_ms, on_lost=_stop_this_worker
    )
    try:
        # Until Celery listens to it.
        signal.signal(signal.SIGTERM, _leave)
        place = lease.wait(devices)
        log.info("device %s is this worker's", place)
        os.environ["CUDA_VISIBLE_DEVICES"] = device_at(place)
        yield device_at(place)
    finally:
        lease.close()


def _leave(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _stop_this_worker() -> None:
    # A warm shutdown: the running batch is finished and the rest given back.
    os.kill(os.getpid(), signal.SIGTERM)


@cache
def _script(name: str) -> Script:
    return Script(name, (Path(__file__).parent / "lua" / f"{name}.lua").read_text())
