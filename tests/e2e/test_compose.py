"""docker-compose.yml, as far as it can be proven without a container engine: each command and health check is run."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
import redis

from headrace.client import Client
from registry.registry import Registry
from scheduler.embedded_server import find_server_binary, free_port
from tests.e2e.compose_file import CHECKOUT, LocalService, read_compose

pytestmark = pytest.mark.slow

LIMIT_S = 60.0
#: No package of it is at hand; what it is provisioned with has tests of its own.
NOT_HERE = {"grafana"}
READING = {"flow": 1.2, "head": 3.0, "gate": 0.5}


def secrets_into(folder: Path) -> Path:
    """Run the script that makes secrets, on a copy."""
    folder.mkdir()
    script = folder / "make_secrets.sh"
    script.write_bytes((CHECKOUT / "deploy" / "make_secrets.sh").read_bytes())
    subprocess.run(["sh", str(script)], check=True, capture_output=True)
    return folder / "secrets"


class Composed:
    """All services of the file on this machine."""

    def __init__(self, folder: Path, program: Callable[[str], str]) -> None:
        self.ports = {name: str(free_port()) for name in ("redis", "api", "proxy", "flower", "prometheus")}
        self.secrets = secrets_into(folder / "deploy")
        self.data = folder / "data"
        redis_folder = folder / "redis"
        proxy = folder / "proxy"
        bin_folder = folder / "bin"
        prometheus = folder / "prometheus"
        for made in (self.data, redis_folder, proxy, bin_folder, prometheus):
            made.mkdir()
        (bin_folder / "valkey-server").symlink_to(find_server_binary())
        (bin_folder / "valkey-cli").symlink_to(program("redis-cli"))
        for needed in ("haproxy", "wget", "sh", "prometheus"):
            program(needed)
        self._write_proxy_config(proxy / "haproxy.cfg")
        self._write_prometheus_config(prometheus)
        places = {
            "redis:6379": f"127.0.0.1:{self.ports['redis']}",
            "6379": self.ports["redis"],
            "127.0.0.1:8080": f"127.0.0.1:{self.ports['proxy']}",
            "9090": self.ports["prometheus"],
            "path=/prometheus": f"path={folder / 'samples'}",
            "/etc/prometheus": str(prometheus),
            "/run/secrets": str(self.secrets),
            "/etc/headrace": str(CHECKOUT / "deploy"),
            "/usr/local/etc/haproxy": str(proxy),
            "--dir /data": f"--dir {redis_folder}",
        }
        self.services = {
            name: LocalService(name=name, spec=spec, places=places, bin_folder=bin_folder, log=folder / f"{name}.log")
            for name, spec in read_compose()["services"].items()
            if name not in NOT_HERE
        }

    def _write_proxy_config(self, path: Path) -> None:
        text = (CHECKOUT / "deploy" / "haproxy.cfg").read_text()
        for there, here in {
            "api:8080 ": f"127.0.0.1:{self.ports['api']} ",
            "bind :8080": f"bind 127.0.0.1:{self.ports['proxy']}",
            " resolvers docker init-addr none": "",
        }.items():
            assert there in text
            text = text.replace(there, here)
        path.write_text(text)

    def _write_prometheus_config(self, folder: Path) -> None:
        for path in (CHECKOUT / "deploy" / "prometheus").iterdir():
            text = path.read_text()
            for there, here in {
                "names: [api], type: A, port: 8080": f"names: [localhost], type: A, port: {self.ports['api']}",
                "http://api:8080": f"http://127.0.0.1:{self.ports['api']}",
                "15s": "1s",
            }.items():
                text = text.replace(there, here)
            (folder / path.name).write_text(text)

    def start(self) -> None:
        """Start all, Redis first, as its health check is what the others wait for."""
        extra = {
            "HEADRACE_DATA_DIR": str(self.data),
            "HEADRACE_API_PORT": self.ports["api"],
            "HEADRACE_FLOWER_PORT": self.ports["flower"],
            # What a container announces is its host's name.
            "HEADRACE_METRICS_HOST": "127.0.0.1",
        }
        self.services["redis"].start({})
        self.wait_healthy("redis")
        for name, service in self.services.items():
            if name != "redis":
                service.start(extra)

    def wait_healthy(self, name: str) -> None:
        """Repeat a service's health check until it passes."""
        service, until = self.services[name], time.monotonic() + LIMIT_S
        while service.check() != 0:
            assert service.process is not None
            assert service.process.poll() is None, service.said()
            assert time.monotonic() < until, service.said()
            time.sleep(0.05)

    def stop(self) -> dict[str, int]:
        """End all, Redis last; answers the exit statuses."""
        first, *others = [service for service in self.services.values() if service.process is not None]
        # Redis goes last, as its dependents need it to end in order.
        for service in others:
            service.terminate()
        statuses = {service.name: service.wait(LIMIT_S) for service in others}
        first.terminate()
        return statuses | {first.name: first.wait(LIMIT_S)}


@pytest.fixture(scope="module")
def composed(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]) -> Iterator[Composed]:
    composed = Composed(tmp_path_factory.mktemp("compose"), program)
    try:
        composed.start()
        yield composed
    finally:
        statuses = composed.stop()
    ended_by_signal = {name for name, status in statuses.items() if status in {-15, 143}}
    assert ended_by_signal <= {"proxy", "api"}, statuses
    assert {status for name, status in statuses.items() if name not in ended_by_signal} == {0}, statuses


def test_each_service_starts_and_is_found_healthy(composed: Composed) -> None:
    for name in composed.services:
        composed.wait_healthy(name)


def test_a_job_comes_back_through_the_proxy(composed: Composed) -> None:
    Registry(url=(composed.data / "registry").as_uri()).push(CHECKOUT / "examples" / "numpy_scorer", name="scorer")

    with Client(f"http://127.0.0.1:{composed.ports['proxy']}") as client:
        result = client.run("scorer", READING, timeout_s=LIMIT_S)

    assert 0.0 < result < 1.0


def test_prometheus_finds_and_scrapes_every_process_and_knows_the_alerts(composed: Composed) -> None:
    url = f"http://127.0.0.1:{composed.ports['prometheus']}/api/v1"
    ours = ("scheduler", "courier", "worker-on-demand", "worker-spot")

    def scraped() -> set[str]:
        targets = httpx2.get(f"{url}/targets").json()["data"]["activeTargets"]
        up = [target["labels"] for target in targets if target["health"] == "up"]
        return {labels.get("node") or labels.get("service") or labels["job"] for labels in up}

    until = time.monotonic() + LIMIT_S
    while not scraped() >= {name.removeprefix("worker-") for name in ours}:
        assert time.monotonic() < until, scraped()
        time.sleep(0.2)
    rules = httpx2.get(f"{url}/rules").json()["data"]["groups"][0]["rules"]
    assert "HeadraceNoProgress" in {rule["name"] for rule in rules}


def test_the_api_says_that_it_is_open_to_its_network(composed: Composed) -> None:
    assert "INSECURE: the API listens on 0.0.0.0" in composed.services["api"].log.read_text()


def test_redis_keeps_everything_and_asks_for_its_password(composed: Composed) -> None:
    url = f"redis://127.0.0.1:{composed.ports['redis']}/0"
    stranger = redis.Redis.from_url(url)
    with pytest.raises(redis.AuthenticationError):
        stranger.ping()
    stranger.close()
    known = redis.Redis.from_url(url, password=(composed.secrets / "redis_password").read_text())
    options = {**known.config_get("appendonly"), **known.config_get("maxmemory-policy")}
    known.close()

    assert options == {"appendonly": "yes", "maxmemory-policy": "noeviction"}


@pytest.mark.parametrize("name", ["courier", "prometheus", "scheduler", "api", "flower", "proxy", "redis"])
def test_a_service_that_ended_is_not_healthy(name: str, composed: Composed) -> None:
    service = composed.services[name]

    service.terminate()
    service.wait(LIMIT_S)

    assert service.check() != 0
