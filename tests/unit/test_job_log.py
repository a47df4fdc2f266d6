"""Lines about single jobs: id and trace, never what was in them."""

import json
import logging

import pytest

from headrace.logs import LogStyle, formatter_of
from headrace.store_work import ClaimedJob
from workers import job_log
from workers.held_jobs import HeldJob

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
FAILED = '{"cause":"input","detail":"cannot read \'a secret input\'","retryable":false}'


def held(name: str, trace: str = "") -> HeldJob:
    job = ClaimedJob(f"default/{name}", 1, 0, 3, 0, b"a secret input", trace)
    return HeldJob(1, job, "embedder@1:standard")


def test_a_failed_job_is_told_with_its_cause_and_trace(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    job_log.ended([held("good"), held("bad", TRACE)], [None, FAILED], 0.01)

    [record] = caplog.records
    line = json.loads(formatter_of(LogStyle(form="json"), service="worker").format(record))
    assert (line["job"], line["trace"]) == ("bad", "4bf92f3577b34da6a3ce929d0e0e4736")
    assert line["message"] == "job default/bad of embedder@1 failed, cause input"


def test_jobs_that_went_well_are_told_when_debugging_only(caplog: pytest.LogCaptureFixture) -> None:
    for level in (logging.INFO, logging.DEBUG):
        caplog.set_level(level)
        job_log.ended([held("a"), held("b")], [None, None], 0.0123)

    assert [
        "job default/a of embedder@1 ended in a pass of 12.3 ms with 2 jobs",
        "job default/b of embedder@1 ended in a pass of 12.3 ms with 2 jobs",
    ] == caplog.messages


def test_inputs_and_errors_words_stay_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    job_log.ended([held("bad")], [FAILED], 0.01)
    job_log.suspected(held("bad"), "killed by SIGKILL")

    assert "a secret input" not in caplog.text
