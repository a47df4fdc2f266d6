"""Fleet: the processes of a cluster by their roles, each started again when it ended, as an owner would."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bench.service import Service
from headrace.jobs import JobStatus
from headrace.model_ref import ModelRef
from headrace.redis_op import RedisOp
from tests.faults.cluster import Cluster, children_of, poll

_START_LIMIT_S = 60.0
_SETTLE_S = 0.05


@dataclass
class Role:
    """Something that is to run at all times."""

    start: Callable[[], Service]
    #: Tells whether the process serves.
    serves: Callable[[Service], bool]
    service: Service
    restarts: int = field(default=0)


class Fleet:
    """What runs in `cluster`; `workers` workers that serve all of `refs`.

    Args:
        schedulers: how many; one leads.
        with_courier: whether webhooks are delivered.
        urls: where Redis is for a role that does not reach it directly.
    """

    def __init__(
        self,
        cluster: Cluster,
        refs: tuple[ModelRef, ...],
        *,
        workers: int = 2,
        schedulers: int = 1,
        with_courier: bool = False,
        urls: Mapping[str, str] | None = None,
    ) -> None:
        self._cluster = cluster
        self._urls = urls or {}
        self._refs = refs
        self._frozen: set[int] = set()
        names = ["api", *(f"scheduler{number}" for number in range(schedulers)), *(f"w{n}" for n in range(workers))]
        starts = {name: self._start(name) for name in [*names, *(["courier"] if with_courier else [])]}
        self.roles = {name: Role(start, self._serves(name), start()) for name, start in starts.items()}

    def _start(self, name: str) -> Callable[[], Service]:
        url = self._urls.get(name, "")
        if name == "courier":
            return self._cluster.spawn_courier
        if name.startswith("w"):
            return lambda: self._cluster.spawn_worker(name, redis_url=url)
        return lambda: self._cluster.spawn(name.rstrip("0123456789"), redis_url=url)

    def _serves(self, name: str) -> Callable[[Service], bool]:
        cluster = self._cluster
        if name == "api":
            return lambda _: cluster.api_is_ready()
        if name.startswith("w"):
            return lambda service: all(cluster.serves(service, ref) for ref in self._refs)
        return lambda service: service.is_running

    @property
    def pids(self) -> Mapping[str, int]:
        """Process ids by role."""
        return {name: role.service.pid for name, role in self.roles.items()}

    @property
    def workers(self) -> list[Service]:
        """The workers."""
        return [role.service for name, role in self.roles.items() if name.startswith("w")]

    def role_of(self, pid: int) -> str:
        """What a process is; a worker's child is `child`."""
        return next((name for name, known in self.pids.items() if known == pid), "child")

    def kill(self, name: str) -> int:
        """End one as a crash would; answers its process id."""
        service = self.roles[name].service
        service.kill()
        return service.pid

    def kill_child(self, name: str) -> int | None:
        """End a worker's child as a crash would; answers its process id, None if it has none now.

        A model that brought the process down that it shared has one of its own from then on; it is the later one.
        """
        children = children_of(self.roles[name].service.pid)
        if not children:
            return None
        os.kill(children[-1], signal.SIGKILL)
        return children[-1]

    def froze_child_in_a_pass(self, name: str) -> bool:
        """Freeze a worker's children if a pass of it was recorded, so that what is done next is done mid-pass."""
        presence = self._cluster.presence_of(self.roles[name].service)
        children = children_of(self.roles[name].service.pid)
        if presence is None or not children or not self._runs(presence.id):
            return False
        self._frozen.update(children)
        for child in children:
            os.kill(child, signal.SIGSTOP)
        # What they had said before may still be on its way to the records.
        time.sleep(_SETTLE_S)
        if self._runs(presence.id):
            return True
        self.let_children_go_on()
        return False

    def _runs(self, worker: str) -> bool:
        redis, store = self._cluster.redis, self._cluster.store
        leases = redis.run(RedisOp(list[bytes], ("ZRANGE", store.keys.leases, 0, -1)))
        jobs = redis.run_all(store.read(lease.decode().rpartition("#")[0]) for lease in leases)
        return any(job is not None and job.worker == worker and job.status is JobStatus.RUNNING for job in jobs)

    def let_children_go_on(self) -> None:
        """Who was frozen in a pass goes on."""
        while self._frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._frozen.pop(), signal.SIGCONT)

    def restart_ended(self) -> list[str]:
        """Start what has ended, and do not wait; answers which."""
        ended = [name for name, role in self.roles.items() if not role.service.is_running]
        for name in ended:
            self.roles[name].service = self.roles[name].start()
            self.roles[name].restarts += 1
        return ended

    def heal(self) -> None:
        """Let what stands still go on, start what has ended, and wait until all serve."""
        self.let_children_go_on()
        for role in self.roles.values():
            if role.service.is_running:
                os.kill(role.service.pid, signal.SIGCONT)
        self.wait_until_serving()

    def wait_until_serving(self) -> None:
        """Wait until all serve; what ends meanwhile, because it was told to before, is started again."""
        poll("everything serves", self.serves_everything, limit_s=_START_LIMIT_S)

    def serves_everything(self) -> bool:
        """Tell whether all serve; what has ended is started."""
        return not self.restart_ended() and all(role.serves(role.service) for role in self.roles.values())
