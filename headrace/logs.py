"""Logging of every process: a line for people, or with `log_format = "json"` one JSON object a line for programs.

A line about one job says so by `extra=about(member, traceparent)`. Inputs, results and secrets are never logged; should
a password of the settings turn up in a message of somebody else's, it is masked.
"""

import logging
import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple

import orjson

from headrace.timestamps import rfc3339
from headrace.trace import trace_id_of

_TEXT = "%(levelname)s %(name)s: %(message)s"
#: What a record may carry besides its message; nothing else that a library adds gets into a line.
_SUBJECTS = ("job", "trace", "request")
_MASK = "***"


def about(member: str, traceparent: str | None = None) -> dict[str, str]:
    """What a log line about one job carries beside its message."""
    job = {"job": member.rpartition("/")[2]}
    return job | {"trace": trace_id_of(traceparent)} if traceparent else job


class LogStyle(NamedTuple):
    """What lines look like."""

    level: str = "INFO"
    #: `text` or `json`.
    form: str = "text"
    #: Never shown, the longest first.
    secrets: tuple[str, ...] = ()


def configure(style: LogStyle, *, service: str, handler: logging.Handler | None = None) -> None:
    """Send everything that is logged in this process to standard error.

    Args:
        style: of the lines.
        service: what this process is.
        handler: takes the lines instead.
    """
    handler = handler or logging.StreamHandler()
    handler.setFormatter(formatter_of(style, service=service))
    logging.basicConfig(level=style.level, handlers=[handler])
    if style.form == "json":
        logging.captureWarnings(True)
        sys.excepthook = _log_the_last_words
        threading.excepthook = lambda args: _log_the_last_words(
            args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback
        )


def formatter_of(style: LogStyle, *, service: str) -> logging.Formatter:
    """What turns records into lines."""
    if style.form == "json":
        return JsonFormatter(service=service, secrets=style.secrets)
    return TextFormatter(style.secrets)


class TextFormatter(logging.Formatter):
    """Level, logger and message; whoever collects the lines adds the time."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        super().__init__(_TEXT)
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """One record as text; a traceback makes it several lines."""
        text = super().format(record)
        trace = getattr(record, "trace", "")
        return _masked(f"{text} (trace {trace})" if trace else text, self._secrets)


class JsonFormatter(logging.Formatter):
    """`time`, `level`, `service`, `logger`, `message`, and `job`, `trace`, `request`, `exception` where they are."""

    def __init__(self, *, service: str, secrets: Sequence[str] = ()) -> None:
        super().__init__()
        self._service = service
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """One record as one line."""
        line = {
            "time": rfc3339(round(record.created * 1000)),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": _masked(record.getMessage(), self._secrets),
        }
        line |= {name: str(value) for name in _SUBJECTS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line["exception"] = _masked(self.formatException(record.exc_info), self._secrets)
        return orjson.dumps(line).decode()


def _masked(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, _MASK)
    return text


def _log_the_last_words(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("headrace").critical("ended by %s", kind.__name__, exc_info=(kind, error, trace))
