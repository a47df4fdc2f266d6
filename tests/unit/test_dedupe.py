"""Which earlier job stands for a new one. Pure."""

import pytest

from headrace.bounds import Bounds
from headrace.dedupe import DedupeScope, Scope
from headrace.errors import InvalidInput
from headrace.jobs import NewJob
from headrace.keys import dedupe_digest
from headrace.model_ref import ModelRef
from headrace.submission import new_job, parse_submission


def job_of(dedupe: bytes, *, value: bytes = b"1", version: int = 1) -> NewJob:
    body = parse_submission(b'{"model":"m","input":%s,"options":{"dedupe":%s}}' % (value, dedupe))
    return new_job(body, job_id="c1-x", tenant="t", ref=ModelRef("m", version), bounds=Bounds(), now_ms=1)


@pytest.mark.parametrize(
    ("text", "scope"),
    [
        ("active", DedupeScope(Scope.ACTIVE)),
        ("content", DedupeScope(Scope.CONTENT)),
        ("window:3600", DedupeScope(Scope.WINDOW, 3600)),
        ("window:PT1H", DedupeScope(Scope.WINDOW, 3600)),
        ("window:P2D", DedupeScope(Scope.WINDOW, 172_800)),
    ],
)
def test_a_scope_is_read_as_it_was_written(text: str, scope: DedupeScope) -> None:
    assert scope == DedupeScope.parse(text)


@pytest.mark.parametrize("text", ["window", "window:", "window:0", "window:PT0S", "window:-1", "window:1h", "ever", 5])
def test_what_is_no_scope_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="window"):
        DedupeScope.parse(text)


@pytest.mark.parametrize(
    ("scope", "while_open", "succeeded", "failed"),
    [(Scope.ACTIVE, True, False, False), (Scope.WINDOW, True, True, True), (Scope.CONTENT, True, True, False)],
)
def test_how_long_a_job_stands_for_others(scope: Scope, while_open: bool, succeeded: bool, failed: bool) -> None:
    covers = [
        scope.covers(is_over=over, has_succeeded=done) for over, done in ((False, False), (True, True), (True, False))
    ]

    assert [while_open, succeeded, failed] == covers


def test_content_is_model_version_and_input_however_it_is_written() -> None:
    content = b'{"scope":"content"}'
    first = job_of(content, value=b'{"a":1,"b":[2]}')

    same = job_of(content, value=b'{ "b": [2], "a": 1 }')
    others = [job_of(content, value=b'{"a":2}'), job_of(content, value=b'{"a":1,"b":[2]}', version=2)]

    assert first.dedupe_key == same.dedupe_key
    assert 3 == len({first.dedupe_key, *(other.dedupe_key for other in others)})


def test_keys_of_different_scopes_do_not_meet() -> None:
    assert 3 == len({dedupe_digest("k", scope) for scope in Scope})


def test_a_key_is_remembered_for_its_window_and_content_as_long_as_its_result() -> None:
    jobs = [
        job_of(b'{"key":"k"}'),
        job_of(b'{"key":"k","scope":"window:90"}'),
        job_of(b'{"scope":"content"}'),
    ]

    assert [86_400, 90, 2 * 86_400] == [job.dedupe_s for job in jobs]


@pytest.mark.parametrize(
    ("dedupe", "pointer"),
    [
        (b"{}", "/options/dedupe"),
        (b'{"key":"k","scope":"content"}', "/options/dedupe"),
        (b'{"scope":"window:60"}', "/options/dedupe"),
        (b'{"key":"k","scope":"window:2592001"}', "/options/dedupe/scope"),
        (b'{"key":"k","scope":"ever"}', "/options/dedupe/scope"),
    ],
)
def test_what_names_no_job_is_refused(dedupe: bytes, pointer: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        job_of(dedupe)

    assert [pointer] == [field.pointer for field in refused.value.fields]
