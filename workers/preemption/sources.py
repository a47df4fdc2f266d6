"""Sources: where each cloud says that it takes a machine away, and in which words."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import orjson

from headrace.settings import Settings
from workers.preemption.metadata import Answer, MetadataService
from workers.preemption.notice import Notice

#: Seconds since 1970.
Clock = Callable[[], float]

_OK, _UNAUTHORIZED, _NOT_FOUND = 200, 401, 404


class Source(Protocol):
    """A place where a notice would appear."""

    #: How often to look.
    every_s: float

    def look(self) -> Notice | None:
        """What stands there.

        Raises:
            OSError: if it cannot be seen.
            ValueError: if it cannot be understood.
        """


class AwsSource:
    """EC2 spot instances: two minutes before, by the instance metadata service in its second version (IMDSv2)."""

    every_s = 5.0
    url = "http://169.254.169.254"
    _KEY = "/latest/api/token"
    _ACTION = "/latest/meta-data/spot/instance-action"
    _TTL_S = 21_600

    def __init__(self, service: MetadataService, *, clock: Clock = time.time) -> None:
        self._service = service
        self._clock = clock
        self._token = ""

    def look(self) -> Notice | None:
        """What stands there."""
        answer = self._ask()
        if answer.status == _UNAUTHORIZED:
            self._token = ""
            answer = self._ask()
        if answer.status == _NOT_FOUND:
            return None
        found = _document(answer)
        at = datetime.fromisoformat(_text(found, "time")).timestamp()
        return Notice(f"{_text(found, 'action')} at {found['time']}", max(0.0, at - self._clock()))

    def _ask(self) -> Answer:
        if not self._token:
            ttl = {"X-aws-ec2-metadata-token-ttl-seconds": str(self._TTL_S)}
            self._token = _body(self._service.ask(self._KEY, ttl, method="PUT")).strip()
        return self._service.ask(self._ACTION, {"X-aws-ec2-metadata-token": self._token})


class GcpSource:
    """Compute Engine spot and preemptible machines: 30 seconds before."""

    every_s = 1.0
    url = "http://metadata.google.internal"
    _NOTICE_S = 30.0
    _FLAVOR = "Metadata-Flavor"

    def __init__(self, service: MetadataService) -> None:
        self._service = service

    def look(self) -> Notice | None:
        """What stands there."""
        answer = self._service.ask("/computeMetadata/v1/instance/preempted", {self._FLAVOR: "Google"})
        # Without it somebody else answers under that name.
        if answer.headers.get(self._FLAVOR.lower()) != "Google":
            raise ValueError(f"no metadata server: status {answer.status} without {self._FLAVOR}")
        return Notice("preempted", self._NOTICE_S) if _body(answer).strip() == "TRUE" else None


class AzureSource:
    """Azure spot machines: at least 30 seconds before, by Scheduled Events, which tell of neighbours too."""

    every_s = 1.0
    url = "http://169.254.169.254"
    _EVENTS = "/metadata/scheduledevents?api-version=2020-07-01"
    _NAME = "/metadata/instance/compute/name?api-version=2021-02-01&format=text"
    _HEADERS: Mapping[str, str] = MappingProxyType({"Metadata": "true"})

    def __init__(self, service: MetadataService, *, clock: Clock = time.time) -> None:
        self._service = service
        self._clock = clock
        self._name = ""

    def look(self) -> Notice | None:
        """What stands there."""
        found = _document(self._service.ask(self._EVENTS, self._HEADERS))
        events = [event for event in found.get("Events", ()) if event["EventType"] == "Preempt"]
        if not events:
            return None
        if not self._name:
            self._name = _body(self._service.ask(self._NAME, self._HEADERS)).strip()
        ours = [event for event in events if self._name in event["Resources"]]
        return min(map(self._notice, ours), key=lambda notice: notice.left_s, default=None)

    def _notice(self, event: dict[str, Any]) -> Notice:
        # It is empty once the event has begun.
        when = event.get("NotBefore") or ""
        left_s = parsedate_to_datetime(when).timestamp() - self._clock() if when else 0.0
        return Notice(f"Preempt, {event.get('EventStatus', '')} {when}".rstrip(), max(0.0, left_s))


class FileSource:
    """A file whose appearance is a notice: for tests, and for whoever learns of it by other ways."""

    every_s = 0.25

    def __init__(self, file: Path, *, left_s: float) -> None:
        self._file = file
        self._left_s = left_s

    def look(self) -> Notice | None:
        """What stands there."""
        return Notice(f"{self._file} is there", self._left_s) if self._file.exists() else None


def source_of(settings: Settings) -> Source | None:
    """Where this machine's notice would appear, by `preemption_watch` and `preemption_source`; None if nowhere."""
    given = settings.preemption_source
    match settings.preemption_watch:
        case "aws":
            return AwsSource(MetadataService(given or AwsSource.url))
        case "gcp":
            return GcpSource(MetadataService(given or GcpSource.url))
        case "azure":
            return AzureSource(MetadataService(given or AzureSource.url))
        case "file":
            return FileSource(Path(given), left_s=settings.shutdown_grace_s)
        case _:
            return None


def _body(answer: Answer) -> str:
    if answer.status != _OK:
        raise ValueError(f"status {answer.status}: {answer.body[:80]}")
    return answer.body


def _document(answer: Answer) -> dict[str, Any]:
    found = orjson.loads(_body(answer))
    if not isinstance(found, dict):
        raise ValueError(f"no object: {answer.body[:80]}")
    return found


def _text(found: dict[str, Any], name: str) -> str:
    if not isinstance(value := found.get(name), str):
        raise ValueError(f"no {name} in {str(found)[:80]}")
    return value
