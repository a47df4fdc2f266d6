"""Back end that runs workers as containers of a Docker Engine, by its HTTP interface. They outlive their owner.

Each worker is made like the container that the owner itself runs in: the same image, environment, mounts and network.
So whatever was set up for that one reaches the workers, secrets included. A container is named after class and slot:
two owners that start the same worker cannot both succeed.
"""

import json
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from headrace.worker_class import WorkerClass
from scheduler.backends.port import BackendState, BackendWorker
from scheduler.backends.rest import Refused, Rest

_TAIL_LINES = 8
#: Each piece of a container's output follows a header of this size, which ends in the piece's size.
_HEADER_BYTES = 8
_CELL, _CLASS, _SLOT, _NODE = "headrace.cell", "headrace.class", "headrace.slot", "headrace.node"
#: What of the owner's own container its workers share.
_HOST_PARTS = ("Binds", "Mounts", "NetworkMode", "CapDrop", "SecurityOpt", "LogConfig", "ExtraHosts", "Dns")
#: What `docker stop` leaves a worker: above shutdown_grace_s and what it takes to give jobs back.
_STOP_S = 45
_SOCKET = "docker.sock"
_GPUS = {"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}


class Likeness(NamedTuple):
    """What a worker's container is made from."""

    image: str
    environment: list[str]
    host: Mapping[str, Any]

    @classmethod
    def of_container(cls, rest: Rest, container: str) -> "Likeness":
        """That of a container that runs, without the engine's socket, which is for owners alone.

        Raises:
            BackendError: if there is no such container.
        """
        known = rest.call("GET", f"/containers/{container}/json")
        host = {part: known["HostConfig"][part] for part in _HOST_PARTS if known["HostConfig"].get(part)}
        for part in ("Binds", "Mounts"):
            host[part] = [mount for mount in host.get(part, ()) if _SOCKET not in str(mount)]
        return cls(known["Config"]["Image"], known["Config"]["Env"] or [], host)


class DockerBackend:
    """Workers as containers.

    Args:
        rest: leads to the engine.
        cell: whose workers these are.
        classes: the worker classes.
        likeness: what containers are made from.
        images: images of classes that need another one.
    """

    def __init__(
        self,
        *,
        rest: Rest,
        cell: str,
        classes: Mapping[str, WorkerClass],
        likeness: Likeness,
        images: Mapping[str, str] | None = None,
    ) -> None:
        self._rest = rest
        self._cell = cell
        self._classes = classes
        self._likeness = likeness
        self._images = images or {}
        #: Container of each worker, by node name, as last seen.
        self._containers: dict[str, str] = {}
        self._draining: set[str] = set()

    def workers(self) -> list[BackendWorker]:
        """Every worker of this cell, whoever started it; one that ended is listed once more, then forgotten."""
        filters = json.dumps({"label": [f"{_CELL}={self._cell}"]})
        found = self._rest.call("GET", "/containers/json", query={"all": "true", "filters": filters})
        self._containers = {container["Labels"][_NODE]: container["Id"] for container in found}
        self._draining &= self._containers.keys()
        workers = [self._view(container) for container in found]
        for worker in workers:
            if worker.state is BackendState.ENDED:
                self._remove(self._containers.pop(worker.id))
        return workers

    def start(self, worker_class: str, slot: int) -> BackendWorker:
        """Start a worker of a class."""
        node = f"{worker_class}-{slot}-{secrets.token_hex(2)}"
        name = f"headrace-{self._cell}-{worker_class}-{slot}"
        made = self._rest.call(
            "POST", "/containers/create", query={"name": name}, document=self._document(worker_class, slot, node)
        )
        container = str(made["Id"])
        try:
            self._rest.call("POST", f"/containers/{container}/start")
        except Refused:
            self._remove(container)
            raise
        self._containers[node] = container
        return BackendWorker(node, worker_class, slot, BackendState.RUNNING)

    def drain(self, worker_id: str) -> None:
        """Ask a worker to finish what it has and end; asked again, nothing happens."""
        if worker_id in self._containers and worker_id not in self._draining:
            self._signal(worker_id, "SIGTERM")
            self._draining.add(worker_id)

    def kill(self, worker_id: str) -> None:
        """End a worker at once; its jobs are rescued when their leases run out."""
        self._signal(worker_id, "SIGKILL")

    def _signal(self, worker_id: str, signal: str) -> None:
        container = self._containers.get(worker_id)
        if container is None:
            return
        try:
            self._rest.call("POST", f"/containers/{container}/kill", query={"signal": signal})
        except Refused as error:
            # It has ended meanwhile.
            if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                raise

    def _document(self, worker_class: str, slot: int, node: str) -> dict[str, Any]:
        host: dict[str, Any] = {**self._likeness.host, "RestartPolicy": {"Name": "no"}}
        if self._classes[worker_class].device.startswith("cuda"):
            host["DeviceRequests"] = [_GPUS]
        return {
            "Image": self._images.get(worker_class, self._likeness.image),
            "Cmd": ["python", "-m", "workers", "--worker-class", worker_class, "--name", node],
            "Env": self._likeness.environment,
            "Labels": {_CELL: self._cell, _CLASS: worker_class, _SLOT: str(slot), _NODE: node},
            "StopTimeout": _STOP_S,
            "HostConfig": host,
        }

    def _view(self, container: Mapping[str, Any]) -> BackendWorker:
        labels, is_up = container["Labels"], container["State"] in ("running", "paused", "restarting")
        node = labels[_NODE]
        state = BackendState.DRAINING if node in self._draining else BackendState.RUNNING
        worker = BackendWorker(node, labels[_CLASS], int(labels[_SLOT]), state, number=int(container["Created"]))
        if is_up:
            return worker
        # One that was made and not started belongs to an owner that ended in between.
        status = self._rest.call("GET", f"/containers/{container['Id']}/json")["State"]["ExitCode"]
        ending = f"ended with status {status}" if container["State"] != "created" else "was never started"
        lines = self._last_lines(container["Id"])
        return worker._replace(state=BackendState.ENDED, ending=ending, last_lines=lines)

    def _last_lines(self, container: str) -> tuple[str, ...]:
        query = {"stdout": "true", "stderr": "true", "tail": str(_TAIL_LINES)}
        raw: bytes = self._rest.call("GET", f"/containers/{container}/logs", query=query) or b""
        pieces, at = [], 0
        while at + _HEADER_BYTES <= len(raw):
            size = int.from_bytes(raw[at + 4 : at + _HEADER_BYTES])
            pieces.append(raw[at + _HEADER_BYTES : at + _HEADER_BYTES + size])
            at += _HEADER_BYTES + size
        return tuple(b"".join(pieces).decode(errors="replace").splitlines())

    def _remove(self, container: str) -> None:
        try:
            self._rest.call("DELETE", f"/containers/{container}", query={"force": "true"})
        except Refused as error:
            # Another owner was quicker.
            if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                raise
