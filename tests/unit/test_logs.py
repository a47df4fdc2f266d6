"""Log lines in both forms: what they say, and what they never say."""

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from headrace.logs import LogStyle, about, formatter_of
from headrace.settings import Settings

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def line_of(style: LogStyle, message: str, *args: object, **more: Any) -> str:
    """One record as a line."""
    record = logging.getLogger("headrace.test").makeRecord(
        "headrace.test", logging.WARNING, "file.py", 1, message, args, more.pop("exc_info", None), extra=more
    )
    return formatter_of(style, service="api").format(record)


def test_a_line_for_people_is_level_logger_and_message() -> None:
    assert line_of(LogStyle(), "%d jobs", 3) == "WARNING headrace.test: 3 jobs"


def test_a_line_for_programs_is_one_json_object() -> None:
    line = json.loads(line_of(LogStyle(form="json"), "two\nlines of %s", "text"))

    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "WARNING",
        "service": "api",
        "logger": "headrace.test",
        "message": "two\nlines of text",
    }


def test_a_line_about_a_job_names_it_and_its_trace() -> None:
    line = json.loads(line_of(LogStyle(form="json"), "gone", **about("default/c1-abc", TRACE)))

    assert (line["job"], line["trace"]) == ("c1-abc", "4bf92f3577b34da6a3ce929d0e0e4736")
    assert line_of(LogStyle(), "gone", **about("default/c1-abc", TRACE)).endswith(f"gone (trace {line['trace']})")
    assert about("default/c1-abc", None) == {"job": "c1-abc"}


def test_what_else_a_record_carries_stays_out_of_the_line() -> None:
    assert "payload" not in line_of(LogStyle(form="json"), "done", payload="a secret input")


def test_a_traceback_goes_into_the_line() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        line = json.loads(line_of(LogStyle(form="json"), "failed", exc_info=sys.exc_info()))

    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: broken")


@pytest.mark.parametrize("form", ["text", "json"])
def test_passwords_of_the_settings_are_masked_wherever_they_turn_up(form: str) -> None:
    settings = Settings(redis_password="s3cret/word", flower_auth="operator:flowers", log_format=form)

    line = line_of(settings.log_style, "cannot reach %s as operator:flowers with s3cret/word", settings.redis_url)

    assert "s3cret" not in line
    assert "flowers" not in line
    assert line.count("***") == 3


def test_whatever_ends_a_process_is_a_line_of_json_too() -> None:
    program = """
import logging, threading, warnings
from headrace import logs
logs.configure(logs.LogStyle(form="json"), service="api")
warnings.warn("be careful")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise RuntimeError("the end")
"""

    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert ended.returncode == 1
    assert ["py.warnings", "headrace", "headrace"] == [line["logger"] for line in lines]
    assert "the end" in lines[2]["exception"]
