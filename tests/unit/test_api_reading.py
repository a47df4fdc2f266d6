"""Reading requests: headers, moments, submissions. Pure."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from api.headers import Preference, read_idempotency_key, read_preference
from api.queries import first_repeated
from headrace.bounds import Bounds
from headrace.errors import InvalidInput, MalformedRequest
from headrace.jobs import NewJob
from headrace.model_ref import ModelRef
from headrace.moments import Moment
from headrace.reading import pointer_to, worded
from headrace.submission import SubmitBody, fingerprint, new_job, parse_submission
from headrace.timestamps import rfc3339

NOW_MS = 1_800_000_000_000
_USUAL = Bounds()


@pytest.mark.parametrize(
    ("prefer", "preference"),
    [
        ("wait=10", Preference(10, "wait=10")),
        ("Wait = 10", Preference(10, "wait=10")),
        ('wait="10"', Preference(10, "wait=10")),
        ("wait=1.5", Preference(1.5, "wait=1.5")),
        ("wait=100", Preference(60, "wait=60")),
        ("handling=lenient, wait=5", Preference(5, "wait=5")),
        ("respond-async, wait=5", Preference(0, "respond-async")),
        ("wait=5, cancel-on-disconnect", Preference(5, "wait=5, cancel-on-disconnect", is_attended=True)),
        ("cancel-on-disconnect", Preference(0, "")),
        ("wait=-1", Preference(0, "")),
        ("wait=soon", Preference(0, "")),
        ("wait=1e9", Preference(0, "")),
        ("", Preference(0, "")),
    ],
)
def test_prefer_is_honoured_where_it_is_understood(prefer: str, preference: Preference) -> None:
    assert read_preference({"prefer": prefer}, max_wait_s=60, is_submission=True) == preference


def test_only_who_submits_can_have_a_job_called_off_by_hanging_up() -> None:
    asked = {"prefer": "wait=5, cancel-on-disconnect"}

    assert read_preference(asked, max_wait_s=60) == Preference(5, "wait=5")


@pytest.mark.parametrize(
    ("text", "key"),
    [("bare", "bare"), ('"quoted"', "quoted"), (r'"a\"b\\c"', r"a\"b\c".replace('\\"', '"')), ("k" * 255, "k" * 255)],
)
def test_a_key_is_read_quoted_or_bare(text: str, key: str) -> None:
    assert key == read_idempotency_key({"idempotency-key": text})


def test_no_key_is_no_key() -> None:
    assert not read_idempotency_key({})


@pytest.mark.parametrize("text", ["", '""', "k" * 256, "tab\tkey", "clé"])
def test_an_unusable_key_is_refused(text: str) -> None:
    with pytest.raises(MalformedRequest, match="Idempotency-Key"):
        read_idempotency_key({"idempotency-key": text})


@pytest.mark.parametrize(
    ("value", "at_ms"),
    [
        (90, NOW_MS + 90_000),
        (0.5, NOW_MS + 500),
        ("PT1M30S", NOW_MS + 90_000),
        ("P1D", NOW_MS + 86_400_000),
        ("2027-01-15T08:00:00Z", NOW_MS),
        ("2027-01-15T09:00:00.250+01:00", NOW_MS + 250),
    ],
)
def test_moments_are_absolute_or_from_now_on(value: Any, at_ms: int) -> None:
    assert at_ms == Moment.parse(value).at(NOW_MS)


@pytest.mark.parametrize(
    "value",
    [
        *(-1, True, None, [], "soon", "2027-01-15T08:00:00", "-PT1S", "P400D", 1e300, float("nan"), "P", "PT1H " * 9),
        *("9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59.9999Z", "0001-01-01T00:00:00+00:01"),
    ],
)
def test_what_is_no_moment_is_refused_with_how_to_write_one(value: Any) -> None:
    with pytest.raises(ValueError, match="write a time as"):
        Moment.parse(value)


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59.999Z", "0001-01-01T00:00:00.000Z"])
def test_the_first_and_the_last_moment_can_be_told_as_they_were_read(text: str) -> None:
    assert int(text[:4]) == int(rfc3339(Moment.parse(text).ms).partition("-")[0])


class Name(str):
    """Counts how often one is compared with another."""

    __slots__ = ()
    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Name.compared += 1
        return str.__eq__(self, other)


def test_finding_a_parameter_that_is_given_twice_does_not_compare_all_with_all() -> None:
    names = [Name(number) for number in [*range(1000), 5]]

    assert "5" == first_repeated(names)

    assert Name.compared < 100


def job_of(options: Mapping[str, Any], bounds: Bounds = _USUAL) -> NewJob:
    body = SubmitBody.model_validate({"model": "m", "input": {"a": 1}, "options": options})
    ref = ModelRef("m", 1)
    return new_job(body, job_id="c1-x", tenant="default", ref=ref, bounds=bounds, now_ms=NOW_MS)


def test_a_job_takes_its_times_from_one_now() -> None:
    job = job_of({"not_before": 1, "start_by": 2, "deadline": "PT3S"})

    assert (job.not_before_ms, job.start_by_ms, job.deadline_ms) == (NOW_MS + 1000, NOW_MS + 2000, NOW_MS + 3000)
    assert job.max_attempts == 3
    assert job.input == b'{"a":1}'


@pytest.mark.parametrize("name", ["start_by", "deadline"])
@pytest.mark.parametrize("limit", [0, "2020-01-01T00:00:00Z", 5])
def test_a_job_that_could_never_run_is_refused(name: str, limit: Any) -> None:
    with pytest.raises(InvalidInput, match=f"/options/{name}"):
        job_of({name: limit, "not_before": 5})


def test_requests_are_the_same_whatever_their_spelling() -> None:
    spelled = b'{"model":"m","input":{"a":1,"b":2}}'
    respelled = b'{ "input": {"b": 2, "a": 1}, "model": "\\u006d" }'

    assert fingerprint(spelled) == fingerprint(respelled)
    assert fingerprint(spelled) != fingerprint(b'{"model":"m","input":{"a":1,"b":3}}')


def test_pointers_are_escaped() -> None:
    assert pointer_to(("input", "a/b", "c~d", 3)) == "/input/a~1b/c~0d/3"


def test_only_so_many_problems_are_shown() -> None:
    body = {"model": "m", "input": 1, **{f"extra{i}": 1 for i in range(100)}}

    with pytest.raises(InvalidInput) as refused:
        parse_submission(orjson.dumps(body))

    assert len(refused.value.fields) == 20


def test_deep_nesting_is_no_way_to_crash() -> None:
    with pytest.raises(MalformedRequest, match="not JSON"):
        parse_submission(b'{"model":"m","input":' + b"[" * 30_000 + b"]" * 30_000 + b"}")


@pytest.mark.parametrize(
    ("asked_s", "model_s", "expected_s"), [(None, None, None), (30, None, 30), (None, 20, 20), (5, 20, 5), (5, 600, 5)]
)
def test_a_job_runs_as_long_as_asked_for_else_as_its_model_allows(
    asked_s: float | None, model_s: float | None, expected_s: float | None
) -> None:
    options = {} if asked_s is None else {"run_timeout_s": asked_s}

    assert expected_s == job_of(options, Bounds(most_run_s=60, model_run_s=model_s)).run_timeout_s


@pytest.mark.parametrize(("asked_s", "model_s", "most"), [(61, None, "60"), (21, 20, "20"), (61, 600, "60")])
def test_nobody_runs_longer_than_the_model_and_the_installation_allow(
    asked_s: float, model_s: float | None, most: str
) -> None:
    with pytest.raises(InvalidInput, match=f"may run, {most} s") as refused:
        job_of({"run_timeout_s": asked_s}, Bounds(most_run_s=60, model_run_s=model_s))

    assert ["/options/run_timeout_s"] == [field.pointer for field in refused.value.fields]


def test_nothing_is_kept_longer_than_the_installation_allows() -> None:
    assert 600 == job_of({"result_ttl_s": 600}, Bounds(most_kept_s=600)).result_ttl_s

    with pytest.raises(InvalidInput, match="kept, 600 s") as refused:
        job_of({"result_ttl_s": 601}, Bounds(most_kept_s=600))

    assert ["/options/result_ttl_s"] == [field.pointer for field in refused.value.fields]


@pytest.mark.parametrize(
    ("said", "plainly"),
    [
        ("Input should be a valid string", "must be a string"),
        ("Input should be greater than or equal to 1", "must be greater than or equal to 1"),
        ("String should have at least 1 character", "must have at least 1 character"),
        ("Input should be a valid dictionary", "must be an object"),
        ("Value error, write a day as 2030-01-31", "write a day as 2030-01-31"),
    ],
)
def test_what_is_wrong_ends_a_sentence_that_the_fields_name_begins(said: str, plainly: str) -> None:
    assert plainly == worded(said)
