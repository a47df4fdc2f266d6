"""The whole system as one command starts, keeps and ends it: real processes, a real model, over HTTP."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from headrace.client import Client
from headrace.errors import HeadraceError
from headrace.jobs import JobStatus
from headrace.running import RunningSystem, find_running
from registry.registry import Registry
from scheduler.embedded_server import free_port

pytestmark = pytest.mark.slow

CHECKOUT = Path(__file__).resolve().parents[2]
READING = {"flow": 1.2, "head": 3.0, "gate": 0.5}
LIMIT_S = 60.0
#: Of a socket, in `/proc/net/tcp`.
_LISTENS = "0A"


def wait_for(is_so: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + LIMIT_S
    while not is_so():
        assert time.monotonic() < until, f"waited too long: {what}"
        time.sleep(0.02)


def environment(data_dir: Path) -> dict[str, str]:
    """Ours without settings, so that nothing of this shell's reaches the system, with quick rescues."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}
    quick = {"HEADRACE_LEASE_MS": "2000", "HEADRACE_LEADER_TTL_MS": "600"}
    return {**kept, **quick, "HEADRACE_CONFIG": os.devnull, "UP_TEST": str(data_dir)}


def command(data_dir: Path, port: int) -> list[str]:
    return [
        *(sys.executable, "-m", "scheduler.up"),
        *("--data-dir", str(data_dir), "--port", str(port), "--api", "2"),
    ]


def processes_of(data_dir: Path) -> list[int]:
    """Every live process that was started for this data folder, whoever is its parent now."""
    folders = Path("/proc").glob("[0-9]*")
    return [int(folder.name) for folder in folders if belongs_to(folder, data_dir)]


def belongs_to(process: Path, data_dir: Path) -> bool:
    """Tell by the environment, or, of a server that writes its title over that, by the working folder."""
    try:
        marked = f"UP_TEST={data_dir}".encode() in (process / "environ").read_bytes().split(b"\0")
        return marked or (process / "cwd").readlink().is_relative_to(data_dir)
    except OSError:
        return False


class Up:
    """One `headrace up` and its output."""

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.log = data_dir / "test.log"
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                command(data_dir, self.port),
                env={**environment(data_dir), **(settings or {})},
                cwd=CHECKOUT,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.client = Client(f"http://127.0.0.1:{self.port}")

    def push(self) -> None:
        """Publish the numpy example."""
        registry = Registry(url=(self.data_dir / "registry").as_uri())
        registry.push(CHECKOUT / "examples" / "numpy_scorer", name="numpy_scorer")

    def serves(self) -> bool:
        """Tell whether a job comes back."""
        try:
            return isinstance(self.client.run("numpy_scorer", READING, timeout_s=5.0), float)
        except HeadraceError:
            return False

    def running(self) -> RunningSystem:
        """What it says of itself."""
        running = find_running(self.data_dir)
        assert running is not None
        return running

    def pids_of(self, *words: str) -> list[int]:
        """The processes whose command lines hold all these words."""
        return [pid for pid in processes_of(self.data_dir) if _is_called(pid, words)]

    def says(self, text: str) -> bool:
        """Tell whether this stands in its output."""
        return text in self.log.read_text()

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and wait; answers the exit status."""
        self.process.send_signal(number)
        status = self.process.wait(LIMIT_S)
        self.client.close()
        return status


def _is_called(pid: int, words: Sequence[str]) -> bool:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return False
    return all(word in line for word in words) and "scheduler.up" not in line


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    up = Up(tmp_path)
    up.push()
    wait_for(up.serves, "the first result")
    yield up
    if up.process.poll() is None:
        up.end()


def test_one_command_serves_and_one_ctrl_c_ends_everything(up: Up) -> None:
    result = up.client.run("numpy_scorer", READING)
    wait_for(lambda: up.says("api-1") and up.says("api-2"), "both API processes")

    status = up.end()

    assert 0.0 < result < 1.0
    assert status == 0
    assert processes_of(up.data_dir) == []
    assert find_running(up.data_dir) is None
    assert up.says(f"Headrace is up at http://127.0.0.1:{up.port}")
    assert not up.says("is killed")


def test_nothing_of_it_can_be_reached_from_another_machine(up: Up) -> None:
    """S-08."""
    addresses = {address for pid in processes_of(up.data_dir) for address in listening(pid)}

    # The API, Redis, and metrics of workers and schedulers at least.
    assert len(addresses) >= 4
    assert {"127.0.0.1"} == {host for host, _ in addresses}


def listening(pid: int) -> Iterator[tuple[str, int]]:
    """Where a process listens, by what the kernel says of its sockets; a host that is no IPv4 address as it stands."""
    sockets = {_link(entry) for entry in Path(f"/proc/{pid}/fd").glob("*")}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_, inode = line.split()[:10]
            if state == _LISTENS and f"socket:[{inode}]" in sockets:
                host, port = local.split(":")
                yield socket.inet_ntoa(bytes.fromhex(host)[::-1]) if len(host) == 8 else host, int(port, 16)


def _link(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        return ""


def refusal(data_dir: Path, port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(data_dir, port),
        env=environment(data_dir),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def test_a_second_one_on_the_same_folder_is_refused_and_the_first_goes_on(up: Up) -> None:
    second = refusal(up.data_dir, free_port())

    assert second.returncode == 2
    assert f"another `headrace up` works on {up.data_dir} (process {up.process.pid}" in second.stderr
    assert up.serves()
    assert up.running().pid == up.process.pid


def test_a_port_in_use_is_said_at_once(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        refused = refusal(tmp_path, port)

    assert refused.returncode == 2
    assert f"port {port} cannot be used" in refused.stderr
    assert "--port" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_redis_that_does_not_answer_is_said_at_once(tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{free_port()}/0"

    refused = subprocess.run(
        [*command(tmp_path, free_port()), "--redis", url],
        env=environment(tmp_path),
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )

    assert refused.returncode == 2
    assert f"no Redis answers at {url}" in refused.stderr


@pytest.mark.parametrize(
    "words",
    [("-m api",), ("-m scheduler",), ("-m workers", "on-demand"), ("-m workers", "courier"), ("valkey-server",)],
    ids=lambda words: words[-1][-10:],
)
def test_a_killed_part_comes_back_and_nothing_accepted_is_lost(up: Up, words: tuple[str, ...]) -> None:
    jobs = [up.client.submit("numpy_scorer", READING) for _ in range(50)]
    before = up.pids_of(*words)
    victim = before[0]

    os.kill(victim, signal.SIGKILL)
    records = [job.wait(timeout_s=LIMIT_S) for job in jobs]

    assert {JobStatus.SUCCEEDED} == {record.status for record in records}
    wait_for(lambda: victim not in (now := up.pids_of(*words)) and len(now) == len(before), "a new process")
    wait_for(up.serves, "a job after the restart")
    assert up.says("was killed by SIGKILL")


def test_no_process_is_left_when_the_owner_is_killed_and_its_jobs_survive(up: Up, tmp_path: Path) -> None:
    job = up.client.submit("numpy_scorer", READING)
    record = job.wait(timeout_s=LIMIT_S)

    up.end(signal.SIGKILL)
    wait_for(lambda: processes_of(tmp_path) == [], "the end of every process")
    after = Up(tmp_path)
    wait_for(after.serves, "a job after the second start")

    assert record.result() == after.client.result(record.id)
    assert after.end(signal.SIGTERM) == 0


def test_a_second_ctrl_c_ends_everything_at_once(up: Up) -> None:
    [worker] = up.pids_of("-m workers", "on-demand")
    os.kill(worker, signal.SIGSTOP)

    up.process.send_signal(signal.SIGINT)
    wait_for(lambda: up.says("stopping"), "the first Ctrl-C to be heard")
    time.sleep(0.6)  # sooner, it would count as the same Ctrl-C
    status = up.end()

    assert status == 0
    assert processes_of(up.data_dir) == []
