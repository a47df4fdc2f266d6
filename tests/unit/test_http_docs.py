"""The page about the HTTP API names what there is."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.app import create_app
from api.schemas.jobs import JobRecord, JobTimes
from headrace.errors import HeadraceError, InternalError, RequestError, Unavailable
from headrace.job_errors import ERROR_CODES
from headrace.jobs import Cause, JobStatus, Reason
from headrace.settings import Settings
from headrace.submission import Options

PAGE = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text()


def kinds(kind: type[HeadraceError]) -> Iterator[type[HeadraceError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from kinds(child)


#: What the API answers with.
PROBLEMS: list[type[HeadraceError]] = [*kinds(RequestError), *kinds(Unavailable), InternalError]


def test_every_problem_is_listed_with_its_status_and_no_other() -> None:
    rows = re.findall(r"^\| (\d{3}) \| (.*) \|$", PAGE, re.MULTILINE)
    listed = {(int(status), code) for status, cell in rows for code in re.findall(r"`([a-z_]+)`", cell)}

    assert {(kind.status, kind.code) for kind in PROBLEMS} == listed


def test_what_is_said_to_be_retryable_is() -> None:
    [said] = re.findall(r"Those of (\d{3}) and (\d{3}) are `retryable`", PAGE)

    assert {kind.status for kind in PROBLEMS if kind.retryable} == set(map(int, said))
    assert all(kind.retryable for kind in PROBLEMS if str(kind.status) in said)


@pytest.mark.parametrize("word", [*JobStatus, *Reason, *Cause, *Options.model_fields, *JobTimes.model_fields])
def test_every_state_reason_cause_option_and_time_is_listed(word: str) -> None:
    assert f"`{word}`" in PAGE


def test_every_cause_is_listed_with_its_code() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|$", PAGE, re.MULTILINE))

    assert set(ERROR_CODES) == set(Cause)
    assert rows == {str(cause): code for cause, code in ERROR_CODES.items()}


@pytest.mark.parametrize("field", JobRecord.model_fields)
def test_every_field_of_the_record_is_listed(field: str) -> None:
    assert f"`{field}`" in PAGE or f"`{field}." in PAGE


def test_every_route_is_listed(tmp_path: Path) -> None:
    paths = create_app(Settings(data_dir=tmp_path)).openapi()["paths"]

    missing = [
        f"{method.upper()} {path}"
        for path, operations in paths.items()
        for method in operations
        if f"`{method.upper()} {path.replace('{job_id}', '{id}')}" not in PAGE
    ]
    assert missing == []
