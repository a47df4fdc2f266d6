"""The metadata services of three clouds, each a small HTTP server that keeps state and can be made to fail."""

import json
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """An answer."""

    status: int
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()


class MetadataServer:
    """What the three have in common."""

    #: The setting that makes a worker look here.
    watch: str

    def __init__(self) -> None:
        self.requests: list[str] = []
        #: Answered to everything while set.
        self.fault: Reply | None = None
        #: Nothing is answered for so long.
        self.silence_s = 0.0
        #: When the machine goes, in seconds since 1970; None while it may stay.
        self.goes_at: float | None = None
        self._closed = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                owner.requests.append(f"{self.command} {self.path}")
                owner._closed.wait(owner.silence_s)
                given = {name.lower(): value for name, value in self.headers.items()}
                reply = owner.fault or owner.reply(self.command, self.path, given)
                self.send_response(reply.status)
                for name, value in reply.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body.encode())

            do_GET = do_PUT = _answer  # noqa: N815 - the names are the standard library's

            def log_message(self, *_: Any) -> None:
                pass

            def handle(self) -> None:
                # Whoever asked may have waited long enough.
                with suppress(ConnectionError):
                    super().handle()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def take_away(self, *, in_s: float) -> None:
        """Give notice."""
        self.goes_at = time.time() + in_s

    def reply(self, method: str, path: str, headers: dict[str, str]) -> Reply:
        raise NotImplementedError

    def close(self) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class AwsServer(MetadataServer):
    """Version 2: nothing without a token, and tokens run out."""

    watch = "aws"

    def __init__(self) -> None:
        self.tokens: set[str] = set()
        self._given = 0
        super().__init__()

    def reply(self, method: str, path: str, headers: dict[str, str]) -> Reply:
        if (method, path) == ("PUT", "/latest/api/token"):
            if not 1 <= int(headers.get("x-aws-ec2-metadata-token-ttl-seconds", 0)) <= 21_600:
                return Reply(400)
            self._given += 1
            self.tokens.add(f"token-{self._given}")
            return Reply(200, f"token-{self._given}")
        if headers.get("x-aws-ec2-metadata-token") not in self.tokens:
            return Reply(401)
        if (method, path) != ("GET", "/latest/meta-data/spot/instance-action") or self.goes_at is None:
            return Reply(404)
        at = datetime.fromtimestamp(self.goes_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Reply(200, json.dumps({"action": "terminate", "time": at}))


class GcpServer(MetadataServer):
    """Answers nobody who does not know where he is."""

    watch = "gcp"

    def reply(self, method: str, path: str, headers: dict[str, str]) -> Reply:
        if headers.get("metadata-flavor") != "Google":
            return Reply(403)
        if (method, path) != ("GET", "/computeMetadata/v1/instance/preempted"):
            return Reply(404)
        return Reply(200, "FALSE" if self.goes_at is None else "TRUE", (("Metadata-Flavor", "Google"),))


class AzureServer(MetadataServer):
    """Tells of its neighbours, too."""

    watch = "azure"
    name = "worker_3"

    def __init__(self) -> None:
        self.others: list[dict[str, Any]] = []
        super().__init__()

    def reply(self, method: str, path: str, headers: dict[str, str]) -> Reply:
        if headers.get("metadata") != "true":
            return Reply(400)
        if path == "/metadata/instance/compute/name?api-version=2021-02-01&format=text":
            return Reply(200, self.name)
        if (method, path) != ("GET", "/metadata/scheduledevents?api-version=2020-07-01"):
            return Reply(404)
        ours = [] if self.goes_at is None else [self.event("Preempt", self.name, goes_at=self.goes_at)]
        return Reply(200, json.dumps({"DocumentIncarnation": 1, "Events": self.others + ours}))

    @staticmethod
    def event(kind: str, machine: str, *, goes_at: float | None) -> dict[str, Any]:
        when = "" if goes_at is None else format_datetime(datetime.fromtimestamp(goes_at, UTC), usegmt=True)
        status = "Started" if goes_at is None else "Scheduled"
        return {
            "EventId": "A1",
            "EventType": kind,
            "ResourceType": "VirtualMachine",
            "Resources": [machine],
            "EventStatus": status,
            "NotBefore": when,
        }
