"""A real worker process on a server of its own, asked and told things in the way of `celery inspect` and `control`."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import redis

from headrace.environments import as_environment
from headrace.jobs import Job, JobStatus
from headrace.keys import Keys
from headrace.presence import WorkerPresence, parse_presences
from headrace.redis_op import RedisOp, Reply
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from registry.registry import Registry
from scheduler.embedded_server import EmbeddedServer, free_port
from tests.integration.engine_rig import wait_until
from tests.integration.submitting import submit_words
from workers.app import make_app

#: A model whose inputs say what it shall do; `hold` keeps the pass going until the file is gone.
SOURCE = '''
import os, time
from headrace.model import Model

class Obedient(Model, max_batch=8):
    """Does what its input says."""

    def forward(self, batch: list[str]) -> list[str]:
        for word in batch:
            what, _, how = word.partition(" ")
            if what == "raise":
                raise ValueError("told to raise")
            if what == "sleep":
                time.sleep(float(how))
            while what == "hold" and os.path.exists(how):
                time.sleep(0.01)
        return [word.upper() for word in batch]
'''

LIMIT_S = 60.0


class RunningWorker:
    """Server, model and worker; its Celery queues are nobody else's.

    Args:
        folder: for everything that is written.
        settings: others than the usual ones of tests.
    """

    #: Of the model.
    source: ClassVar[str] = SOURCE
    max_batch: ClassVar[int] = 8

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.server = EmbeddedServer(folder=folder / "redis", port=free_port())
        self.server.start()
        usual = {"redis_url": self.server.url, "data_dir": folder, "lease_ms": 5000, "registry_poll_s": 0.2}
        self.settings = Settings.model_validate({**usual, "forward_limit_s": 300, **settings})
        self.redis = SyncRedis(url=self.server.url)
        self.store = JobStore(Keys())
        source = folder / "source"
        source.mkdir()
        (source / "model.py").write_text(self.source.replace("max_batch=8", f"max_batch={self.max_batch}"))
        self.ref = Registry(url=self.settings.registry_location).push(source, name="obedient").manifest.ref
        self.app = make_app(self.settings)
        self._log = (folder / "worker.log").open("ab")
        self._started: list[subprocess.Popen[bytes]] = []
        self.process = self.start()

    def start(self, *arguments: str, python: str = sys.executable) -> subprocess.Popen[bytes]:
        """Start a worker process; it is the one that is asked and signalled from now on."""
        arguments = arguments or ("--name", "w1")
        self.node = f"{arguments[-1]}@{socket.gethostname()}"
        self.process = self._spawn(python, *arguments)
        return self.process

    def start_courier(self) -> None:
        """Start a courier beside it."""
        self._spawn(sys.executable, "--worker-class", "courier", "--name", "c1")

    def _spawn(self, python: str, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [python, "-m", "workers", *arguments],
            env=dict(os.environ) | as_environment(self.settings),
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._started.append(process)
        return process

    # --- jobs

    def submit(self, *words: str) -> list[str]:
        return submit_words(self.redis, self.store, self.ref, words)

    def hold(self, name: str) -> tuple[str, Path]:
        """Have a pass begin that ends when the file is gone; answers the job and the file."""
        file = self.folder / name
        file.touch()
        [member] = self.submit(f"hold {file}")
        wait_until(lambda: self.status(member) is JobStatus.RUNNING, limit_s=LIMIT_S)
        return member, file

    def job(self, member: str) -> Job:
        job = self.redis.run(self.store.read(member))
        assert job is not None
        return job

    def status(self, member: str) -> JobStatus:
        return self.job(member).status

    def finish(self, *members: str) -> list[JobStatus]:
        """Wait for the ends; answers how."""
        wait_until(lambda: all(self.status(member).is_terminal for member in members), limit_s=LIMIT_S)
        return [self.status(member) for member in members]

    def leases(self) -> int:
        return int(self.redis.client.zcard(self.store.keys.leases))

    def presence(self) -> WorkerPresence | None:
        """What the worker says of itself, if it does."""
        keys = self.store.keys
        names = self.redis.run(RedisOp(list[bytes], ("ZRANGE", keys.workers, 0, -1)))
        raws = [self.redis.run(RedisOp(_as_is, ("GET", keys.worker(name.decode())))) for name in names]
        return next((said for said in parse_presences(raws) if said.pid == self.process.pid), None)

    def holds(self, jobs: int) -> bool:
        """Tell whether the worker has leased so many."""
        said = self.presence()
        return said is not None and said.jobs_held == jobs

    # --- remote control

    def ask(self, command: str, /, **arguments: object) -> Any:
        """Ask the one worker; its answer."""
        replies = self.app.control.broadcast(
            command, arguments=arguments, destination=[self.node], reply=True, limit=1, timeout=LIMIT_S
        )
        [reply] = replies[0].values()
        return reply

    def answers(self) -> bool:
        """Tell whether remote control reaches the worker now."""
        try:
            return bool(self.app.control.broadcast("ping", reply=True, limit=1, timeout=2.0))
        except (OSError, redis.ConnectionError):
            return False

    # --- faults

    def cut_connections(self) -> None:
        """Cut every connection to the server, this test's own included."""
        for kind in ("pubsub", "normal"):
            self.redis.client.client_kill_filter(_type=kind, skipme=True)
        self.redis.close()
        self.redis = SyncRedis(url=self.server.url)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait_logged(self, text: str) -> None:
        """Wait until the workers have written something."""
        file = self.folder / "worker.log"
        wait_until(lambda: text in file.read_text(errors="replace"), limit_s=LIMIT_S)

    def close(self) -> None:
        for process in self._started:
            process.kill()
            process.wait()
        self._log.close()
        self.redis.close()
        self.app.close()
        self.server.stop()


def is_answered(ask: Callable[[], Any]) -> bool:
    """Tell whether a question gets an answer now."""
    try:
        ask()
    except (IndexError, OSError, redis.ConnectionError):
        return False
    return True


def _as_is(reply: Reply) -> bytes | None:
    return None if reply is None else bytes(reply)
