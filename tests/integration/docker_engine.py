"""A Docker Engine as far as workers need one: containers with names, labels, states and output."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.integration.http_place import Answer, HttpPlace, Question


@dataclass
class Container:
    """One."""

    id: str
    name: str
    document: dict[str, Any]
    number: int
    state: str = "created"
    exit_code: int = 0
    lines: list[str] = field(default_factory=list)
    signals: list[str] = field(default_factory=list)

    @property
    def node(self) -> str:
        return str(self.document["Labels"]["headrace.node"])

    def end(self, exit_code: int) -> None:
        self.state, self.exit_code = "exited", exit_code


class DockerEngine(HttpPlace):
    """By version 1.41 of its interface."""

    def __init__(self, *arguments: Any) -> None:
        self.containers: dict[str, Container] = {}
        self.images = {"headrace:cpu", "headrace:cuda"}
        self._made = 0
        super().__init__(*arguments)

    def add(self, name: str, document: dict[str, Any], *, state: str = "created") -> Container:
        self._made += 1
        container = Container(f"{self._made:064x}", name, document, self._made, state)
        self.containers[container.id] = container
        return container

    def find(self, name: str) -> Container | None:
        """By id, name or node."""
        known = self.containers.values()
        return next(
            (c for c in known if name in (c.id, c.name, c.document.get("Labels", {}).get("headrace.node"))), None
        )

    def answer(self, question: Question) -> Answer:
        method, path, query = question.method, question.path, question.query
        if (method, path) == ("GET", "/containers/json"):
            return Answer(200, self._listed(json.loads(query["filters"])["label"], has_all=query.get("all") == "true"))
        if (method, path) == ("POST", "/containers/create"):
            return self._create(query["name"], question.document)
        match = re.fullmatch(r"/containers/([^/]+)(/\w+)?", path)
        container = self.find(match[1]) if match else None
        if match is None or container is None:
            return Answer(404, {"message": "No such container"})
        return self._one(method, match[2] or "", container, query.get("signal", "SIGKILL"))

    def _listed(self, labels: list[str], *, has_all: bool) -> list[dict[str, Any]]:
        wanted = dict(label.split("=", 1) for label in labels)
        return [
            {"Id": c.id, "Names": [f"/{c.name}"], "State": c.state, "Labels": c.document["Labels"], "Created": c.number}
            for c in self.containers.values()
            if (has_all or c.state == "running") and wanted.items() <= c.document.get("Labels", {}).items()
        ]

    def _create(self, name: str, document: dict[str, Any]) -> Answer:
        if any(container.name == name for container in self.containers.values()):
            return Answer(409, {"message": f"The container name {name} is already in use"})
        if document["Image"] not in self.images:
            return Answer(404, {"message": f"No such image: {document['Image']}"})
        return Answer(201, {"Id": self.add(name, document).id, "Warnings": []})

    def _one(self, method: str, what: str, container: Container, signal: str) -> Answer:
        match method, what:
            case "GET", "/json":
                state = {"ExitCode": container.exit_code, "Running": container.state == "running"}
                config = {key: container.document.get(key) for key in ("Image", "Env", "Labels")}
                host = container.document.get("HostConfig", {})
                return Answer(200, {"Id": container.id, "State": state, "Config": config, "HostConfig": host})
            case "GET", "/logs":
                pieces = [(number % 2 + 1, f"{line}\n".encode()) for number, line in enumerate(container.lines[-8:])]
                return Answer(200, b"".join(bytes([s, 0, 0, 0]) + len(text).to_bytes(4) + text for s, text in pieces))
            case "POST", "/start":
                container.state = "running"
                return Answer(204)
            case "POST", "/kill":
                if container.state != "running":
                    return Answer(409, {"message": "container is not running"})
                container.signals.append(signal)
                if signal == "SIGKILL":
                    container.end(137)
                return Answer(204)
            case "DELETE", "":
                del self.containers[container.id]
                return Answer(204)
        return Answer(400)
