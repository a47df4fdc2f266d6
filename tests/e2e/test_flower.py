"""Flower beside a running system: what its HTTP API and its pages tell of jobs that a real worker ran."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace.client import Client
from headrace.errors import HeadraceError
from registry.registry import Registry
from scheduler.embedded_server import free_port
from tests.integration.engine_rig import SOURCE

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[2]
LIMIT_S = 60.0
AUTH = "operator:s3cret-of-flower"
#: Nobody serves spot.
CLASSES = {"on-demand": {"tiers": ["priority", "standard"]}}
WORDS = ["payload-one", "payload-two", "raise", "sleep 0.2"]


def wait_for(read: Callable[[], object], what: str) -> None:
    until = time.monotonic() + LIMIT_S
    while not read():
        assert time.monotonic() < until, f"waited too long: {what}"
        time.sleep(0.05)


class Monitored:
    """`headrace up --flower`, and somebody who asks Flower."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port, flower_port = free_port(), free_port()
        self.flower_url = f"http://127.0.0.1:{flower_port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
        chosen = {
            "HEADRACE_CONFIG": os.devnull,
            # Workers tell about themselves at a third of it.
            "HEADRACE_LEASE_MS": "1500",
            "HEADRACE_FLOWER_PORT": str(flower_port),
            "HEADRACE_FLOWER_AUTH": AUTH,
            "HEADRACE_WORKER_CLASSES": json.dumps(CLASSES),
        }
        command = ["-m", "scheduler.up", "--flower", "--data-dir", str(data_dir), "--port", str(self.port)]
        self.log = (data_dir / "up.log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, *command], env=kept | chosen, cwd=CHECKOUT, stdout=self.log, stderr=subprocess.STDOUT
        )
        self.client = Client(f"http://127.0.0.1:{self.port}")

    def push(self) -> None:
        source = self.data_dir / "source"
        source.mkdir()
        (source / "model.py").write_text(SOURCE)
        Registry(url=(self.data_dir / "registry").as_uri()).push(source, name="obedient")

    def serves(self) -> bool:
        try:
            return bool(self.client.run("obedient", "warm up", timeout_s=5.0) == "WARM UP")
        except HeadraceError:
            return False

    def get(self, path: str, *, auth: str = AUTH, method: str = "GET") -> httpx2.Response:
        name, _, password = auth.partition(":")
        credentials = (name, password) if auth else None
        return httpx2.request(method, self.flower_url + path, auth=credentials, timeout=10)

    def json(self, path: str) -> Any:
        try:
            return self.get(path).json()
        except (httpx2.HTTPError, ValueError):
            return None

    def hears(self) -> bool:
        """Tell whether jobs reach Flower: it may have begun to listen after the first."""
        return self.serves() and bool(self.json("/api/tasks"))

    def worker(self) -> str:
        """The Celery name of a worker that runs jobs, once Flower has asked it about itself."""
        found: list[str] = []

        def is_known() -> bool:
            found.extend(name for name in self.json("/api/workers") or {} if name.startswith("on-demand"))
            return bool(found)

        wait_for(is_known, "Flower to know the worker")
        return found[0]

    def queues(self) -> dict[str, dict[str, Any]]:
        answer = self.json("/api/queues/length") or {"active_queues": []}
        return {row["name"]: row for row in answer["active_queues"]}

    def end(self) -> int:
        self.process.terminate()
        status = self.process.wait(LIMIT_S)
        self.client.close()
        self.log.close()
        return status


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    system = Monitored(tmp_path_factory.mktemp("flower"))
    try:
        system.push()
        wait_for(system.hears, "Flower to hear of a job")
        yield system
    finally:
        status = system.end()
    assert status == 0


@pytest.fixture(scope="module")
def jobs(system: Monitored) -> dict[str, str]:
    """Ids of jobs that have ended, and of two that nobody can run, by their inputs."""
    ended = {word: system.client.submit("obedient", word) for word in WORDS}
    for job in ended.values():
        job.wait(timeout_s=LIMIT_S)
    waiting = {word: system.client.submit("obedient", word, tier="spot") for word in ("spot-one", "spot-two")}
    ids = {word: job.id for word, job in {**ended, **waiting}.items()}
    wait_for(lambda: tasks_of(system, [ids[word] for word in WORDS]), "all events")
    return ids


def tasks_of(system: Monitored, ids: list[str]) -> dict[str, Any] | None:
    tasks: dict[str, Any] = system.json("/api/tasks?limit=1000") or {}
    done = {"SUCCESS", "FAILURE"}
    return {id_: tasks[id_] for id_ in ids} if all(tasks.get(i, {}).get("state") in done for i in ids) else None


def test_every_job_is_listed_by_id_with_model_states_worker_and_runtime(
    system: Monitored, jobs: dict[str, str]
) -> None:
    tasks = tasks_of(system, [jobs[word] for word in WORDS])

    assert tasks is not None
    assert {"obedient@1"} == {task["name"] for task in tasks.values()}
    states = {word: tasks[jobs[word]]["state"] for word in WORDS}
    assert states == {"payload-one": "SUCCESS", "payload-two": "SUCCESS", "raise": "FAILURE", "sleep 0.2": "SUCCESS"}
    for task in tasks.values():
        assert task["received"] <= task["started"]
        assert "@" in task["worker"]
    assert tasks[jobs["sleep 0.2"]]["runtime"] >= 0.2
    assert "told to raise" in tasks[jobs["raise"]]["exception"]


def test_no_payload_and_no_secret_reaches_flower(system: Monitored, jobs: dict[str, str]) -> None:
    answers = [system.get(f"/api/task/info/{id_}").text for word, id_ in jobs.items() if word in WORDS]
    workers = list(system.json("/api/workers?refresh=1"))
    pages = [system.get(path).text for path in ("/api/workers", *(f"/worker/{worker}" for worker in workers))]
    told = "".join([*answers, *pages])

    assert "payload" not in told.lower()
    assert AUTH.partition(":")[2] not in told


def test_queues_show_depth_also_of_a_tier_without_a_worker(system: Monitored, jobs: dict[str, str]) -> None:
    queues = system.queues()

    assert jobs.keys() >= {"spot-one", "spot-two"}
    spot, standard = queues["obedient@1:spot"], queues["obedient@1:standard"]
    assert (spot["messages"], spot["messages_ready"], spot["consumers"]) == (2, 2, 0)
    assert (standard["messages"], standard["consumers"]) == (0, 1)
    assert queues["headrace.plain"] == {"name": "headrace.plain", "messages": 0}
    page = system.get("/broker").text
    assert "obedient@1:spot" in page


def test_a_running_job_is_told_as_held_by_a_worker(system: Monitored, jobs: dict[str, str]) -> None:
    assert jobs
    slow = system.client.submit("obedient", "sleep 2")

    def held() -> bool:
        return system.queues()["obedient@1:standard"].get("messages_unacknowledged") == 1

    wait_for(held, "the running job to be counted")

    assert slow.wait(timeout_s=LIMIT_S).status == "succeeded"


def test_flower_asks_for_a_password_and_changes_nothing(system: Monitored, jobs: dict[str, str]) -> None:
    shutdown = f"/api/worker/shutdown/{system.worker()}"

    assert system.get("/", auth="").status_code == 401
    assert system.get("/api/tasks", auth="operator:wrong").status_code == 401
    assert system.get(shutdown, method="POST").status_code == 403
    assert system.get(f"/api/task/revoke/{jobs['spot-one']}", method="POST").status_code == 403
    assert system.serves()


PAGES = {
    "worker": ("/worker/{worker}", ["headrace.plain"]),
    "workers": ("/workers", ["Online", "w"]),
    "tasks": ("/tasks", ["obedient@1", "SUCCESS", "FAILURE"]),
    "broker": ("/broker", ["obedient@1:spot", "obedient@1:standard"]),
    "task": ("/task/{raise}", ["told to raise", "obedient@1"]),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_browser_draws_the_page(
    name: str, system: Monitored, jobs: dict[str, str], program: Callable[[str], str], tmp_path: Path
) -> None:
    path, words = PAGES[name]
    where = os.environ.get("HEADRACE_SCREENSHOTS")
    picture = (Path(where) if where else tmp_path) / f"flower-{name}.png"

    browser = program("chromium")
    places = jobs | {"worker": system.worker()}

    drawn = draw(browser, system.flower_url + path.format_map(places), picture, profile=tmp_path)

    assert [word for word in words if word not in drawn] == []
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 20_000, "an empty page"


def draw(browser: str, url: str, picture: Path, *, profile: Path) -> str:
    """Have a browser load a page and run its scripts; answers the document then, and takes a picture of it."""
    with_auth = url.replace("http://", f"http://{AUTH}@")
    command = [
        *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
        *(f"--user-data-dir={profile / 'profile'}", "--window-size=1400,900", "--virtual-time-budget=4000"),
        *(f"--screenshot={picture}", "--dump-dom", with_auth),
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
