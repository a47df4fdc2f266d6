"""S-04: callers that send too slowly, too much, or nothing at all, against a real API process with short limits.

Whatever they do, others are served meanwhile, nothing is held for them for long, and who can be told is told what is
wrong and how to do better.
"""

import contextlib
import re
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from bench.service import Service
from headrace.environments import as_environment
from headrace.groups import group_of
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from scheduler.embedded_server import EmbeddedServer, free_port

CONNECTIONS = 60
CELL = "hostile"
#: No test waits for this long unless something is wrong.
_LIMIT_S = 30.0
_JOB = orjson.dumps({"model": "greeter", "input": {"text": "x"}})
_HEAD = b"POST /v1/jobs HTTP/1.1\r\nHost: api\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def api_process(
    server: EmbeddedServer, registry_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Service, Settings]]:
    """A process that gives nobody much time."""
    folder = tmp_path_factory.mktemp("api")
    port = free_port()
    settings = Settings(
        redis_url=server.url,
        cell=CELL,
        registry_url=registry_url,
        data_dir=folder,
        api_port=port,
        url=f"http://127.0.0.1:{port}",
        api_max_connections=CONNECTIONS,
        max_header_bytes=4096,
        header_timeout_s=0.5,
        body_timeout_s=0.5,
        send_timeout_s=0.5,
    )

    def is_ready() -> bool:
        with contextlib.suppress(httpx2.TransportError):
            return httpx2.get(f"{settings.url}/readyz").is_success
        return False

    command = [sys.executable, "-m", "api"]
    with Service(command=command, log=folder / "api.log", environment=as_environment(settings)) as service:
        service.wait_for("ready", is_ready, limit_s=_LIMIT_S)
        yield service, settings


@pytest.fixture
def friend(api_process: tuple[Service, Settings]) -> Iterator[httpx2.Client]:
    """Somebody who does nothing wrong, on a connection of its own for each request."""
    _, settings = api_process
    with httpx2.Client(base_url=settings.url, timeout=_LIMIT_S, headers={"Connection": "close"}) as client:
        yield client


@pytest.fixture
def dial(api_process: tuple[Service, Settings]) -> Iterator[Callable[[], "Line"]]:
    """Opens connections that end with the test."""
    _, settings = api_process
    with contextlib.ExitStack() as stack:
        yield lambda: Line(stack.enter_context(socket.create_connection(("127.0.0.1", settings.api_port), _LIMIT_S)))


@pytest.fixture
def stored(server: EmbeddedServer) -> Iterator[Callable[[], int]]:
    """Counts the jobs that the process has taken in."""
    store, redis = JobStore(Keys(cell=CELL)), SyncRedis(url=server.url)
    groups = [group_of(ModelRef("greeter", 1), tier) for tier in Tier]
    yield lambda: sum(queue.depth for queue in redis.run(store.depths(groups)))
    redis.close()


class Line:
    """A connection, byte by byte."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, data: bytes) -> bool:
        """Send what the other side takes; tells whether it still does."""
        try:
            self._sock.sendall(data)
        except OSError:
            return False
        return True

    def hang_up(self) -> None:
        """Close it."""
        self._sock.close()

    def take_little(self) -> None:
        """Let little wait to be read on this side."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def rest(self) -> bytes:
        """Everything until the other side closes."""
        parts = []
        with contextlib.suppress(ConnectionResetError):
            while part := self._sock.recv(1 << 16):
                parts.append(part)
        return b"".join(parts)

    def problem(self) -> tuple[int, str]:
        """Status and code of a problem document, after which the other side closes."""
        head, _, body = self.rest().partition(b"\r\n\r\n")
        document: dict[str, Any] = orjson.loads(body)
        assert b"content-type: application/problem+json" in head
        assert b"connection: close" in head
        assert document["detail"]
        assert document["status"] == int(head.split()[1])
        return document["status"], document["code"]


def dropped(friend: httpx2.Client, reason: str) -> int:
    """Connections that the process has dropped for a reason."""
    page = friend.get("/metrics").text
    found = re.search(rf'headrace_http_connections_dropped_total{{reason="{reason}"}} (\d+)', page)
    return int(found[1]) if found else 0


def connections(friend: httpx2.Client) -> int:
    """Connections that the process says it has."""
    found = re.search(r"^headrace_http_connections (\d+)", friend.get("/metrics").text, re.MULTILINE)
    assert found
    return int(found[1])


def until(what: str, is_so: Callable[[], bool]) -> None:
    began_s = time.monotonic()
    while not is_so():
        assert time.monotonic() - began_s < _LIMIT_S, f"not {what}"
        time.sleep(0.02)


# --- too slowly ------------------------------------------------------------------------------------------------------


def test_header_fields_that_trickle_in_are_cut_off_and_others_are_served_meanwhile(
    dial: Callable[[], Line], friend: httpx2.Client
) -> None:
    lines = [dial() for _ in range(CONNECTIONS // 2)]
    for line in lines:
        line.send(b"GET /livez HTTP/1.1\r\nHost: api\r\n")

    answers: list[int] = []
    while any(line.send(b"X-Slow: 1\r\n") for line in lines) and len(answers) < 200:
        answers.append(friend.get("/livez").status_code)

    assert {200} == set(answers)
    assert {(408, "request_timeout")} == {line.problem() for line in lines}


def test_a_connection_on_which_nothing_comes_is_closed_without_a_word(dial: Callable[[], Line]) -> None:
    assert b"" == dial().rest()


@pytest.mark.parametrize(
    "begin",
    [
        b"Content-Length: 1000\r\n\r\n{",
        b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    ],
    ids=["announced", "chunked"],
)
def test_a_body_that_trickles_in_is_cut_off_and_nothing_of_it_is_stored(
    dial: Callable[[], Line], friend: httpx2.Client, stored: Callable[[], int], begin: bytes
) -> None:
    jobs, before, line = stored(), dropped(friend, "slow_body"), dial()
    line.send(_HEAD + begin)

    while dropped(friend, "slow_body") == before:
        line.send(b"1\r\n \r\n" if b"chunked" in begin else b" ")

    assert jobs == stored()


def test_who_sends_a_body_too_slowly_is_told_how_fast_it_must_come(dial: Callable[[], Line]) -> None:
    line = dial()
    line.send(_HEAD + b"Content-Length: 1000\r\n\r\n{")

    assert (408, "request_timeout") == line.problem()


def test_a_body_that_gets_on_may_take_longer_than_that(dial: Callable[[], Line], stored: Callable[[], int]) -> None:
    before, padding = stored(), b" " * 1000

    def is_taken() -> bool:
        line = dial()
        line.send(_HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % (len(_JOB) + 20 * len(padding)))
        for _ in range(20):
            time.sleep(0.05)
            line.send(padding)
        line.send(_JOB)
        return line.rest().startswith(b"HTTP/1.1 202 ")

    # On a machine that stands still at times, this test may be the one that is too slow.
    until("taken", is_taken)
    assert before + 1 == stored()


def test_whoever_takes_nothing_of_its_answers_is_cut_off(dial: Callable[[], Line], friend: httpx2.Client) -> None:
    before, line = dropped(friend, "stalled"), dial()
    line.take_little()

    # Asked for again and again, on one connection, without reading one answer.
    line.send(b"GET /openapi.json HTTP/1.1\r\nHost: api\r\n\r\n" * 300)

    until("cut off", lambda: dropped(friend, "stalled") == before + 1)


def test_a_body_that_is_refused_and_goes_on_for_ever_is_cut_off(
    dial: Callable[[], Line], friend: httpx2.Client
) -> None:
    line = dial()
    line.send(_HEAD + b"Content-Length: 1000000000000\r\n\r\n")

    until("cut off", lambda: not line.send(b" " * 10_000))

    assert friend.get("/livez").is_success


# --- too much --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        b"GET /livez HTTP/1.1\r\nHost: api\r\nX-Long: " + b"x" * 5_000 + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: api\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(500)) + b"\r\n",
        b"GET /livez?" + b"x" * 5_000 + b" HTTP/1.1\r\nHost: api\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: api\r\nX-Endless: " + b"x" * 5_000,
    ],
    ids=["long", "many", "long path", "endless"],
)
def test_header_fields_that_are_too_many_or_too_long_are_refused(dial: Callable[[], Line], head: bytes) -> None:
    line = dial()
    line.send(head)

    assert (431, "headers_too_large") == line.problem()


def test_as_many_header_fields_as_may_be_are_served(friend: httpx2.Client) -> None:
    assert friend.get("/livez", headers={"X-Long": "x" * 3_500}).is_success


def test_endless_header_fields_take_no_memory(
    api_process: tuple[Service, Settings], dial: Callable[[], Line], friend: httpx2.Client
) -> None:
    before = resident_bytes(api_process[0].pid)
    lines = [dial() for _ in range(20)]
    for line in lines:
        line.send(b"GET /livez HTTP/1.1\r\nX-Endless: ")

    for line in lines:
        for _ in range(50):
            line.send(b"x" * 100_000)

    # A hundred megabytes were sent, or would have been.
    assert resident_bytes(api_process[0].pid) - before < 30_000_000
    assert friend.get("/livez").is_success


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_trailers_without_end_are_refused(dial: Callable[[], Line], friend: httpx2.Client) -> None:
    before, line = dropped(friend, "large_header"), dial()
    line.send(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\n")

    while dropped(friend, "large_header") == before:
        line.send(b"X-Trailer: %s\r\n" % (b"x" * 1000))

    assert (431, "headers_too_large") == line.problem()


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: api\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: api\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["TLS", "version", "length", "both lengths"],
)
def test_what_is_no_http_is_a_problem_too(dial: Callable[[], Line], nonsense: bytes) -> None:
    line = dial()
    line.send(nonsense)

    assert (400, "malformed_request") == line.problem()


def test_a_wish_to_speak_websocket_is_answered_as_what_it_is_beside_that(dial: Callable[[], Line]) -> None:
    line = dial()
    line.send(
        b"GET /livez HTTP/1.1\r\nHost: api\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )

    assert line.rest().startswith(b"HTTP/1.1 200 ")


# --- too many --------------------------------------------------------------------------------------------------------


def test_a_flood_of_connections_keeps_nobody_out(dial: Callable[[], Line], friend: httpx2.Client) -> None:
    before = dropped(friend, "displaced")

    answers = []
    for number in range(4 * CONNECTIONS):
        dial()
        if number % 10 == 0:
            answers.append(friend.get("/livez").status_code)

    assert {200} == set(answers)
    assert connections(friend) <= CONNECTIONS
    assert dropped(friend, "displaced") > before


def test_connections_that_are_kept_and_not_used_make_way(dial: Callable[[], Line], friend: httpx2.Client) -> None:
    lines = [dial() for _ in range(CONNECTIONS)]
    for line in lines:
        line.send(b"GET /livez HTTP/1.1\r\nHost: api\r\n\r\n")
    until("all served", lambda: connections(friend) >= CONNECTIONS - 1)

    answers = [friend.get("/livez").status_code for _ in range(20)]

    assert {200} == set(answers)
    assert connections(friend) <= CONNECTIONS


def test_who_comes_while_all_are_served_is_told_to_come_back(
    dial: Callable[[], Line], api_process: tuple[Service, Settings]
) -> None:
    lines = [dial() for _ in range(CONNECTIONS)]
    for line in lines:
        line.send(_HEAD + b"Prefer: wait=60\r\nContent-Length: %d\r\n\r\n%s" % (len(_JOB), _JOB))

    # Until the last of them is served, a newcomer may still get a place.
    refused: list[bytes] = []
    began_s = time.monotonic()
    while not refused:
        assert time.monotonic() - began_s < _LIMIT_S
        line = dial()
        line.send(b"GET /livez HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n")
        refused += [answer for answer in [line.rest()] if answer.startswith(b"HTTP/1.1 503 ")]
    for line in lines:
        line.hang_up()

    assert b"retry-after: 1" in refused[0].lower()
    assert orjson.loads(refused[0].partition(b"\r\n\r\n")[2])["code"] == "too_many_connections"
    url = api_process[1].url
    until("served again", lambda: httpx2.get(f"{url}/livez", headers={"Connection": "close"}).is_success)


def test_nothing_is_left_of_any_of_them(api_process: tuple[Service, Settings], friend: httpx2.Client) -> None:
    until("all gone", lambda: connections(friend) == 1)

    assert not re.search(r"Traceback|ERROR", api_process[0].log.read_text())
