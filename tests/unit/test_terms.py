"""What a submission says besides its input is read once for all that say the same, and for no others."""

from typing import Any

import orjson
import pytest

from api.terms import read_submission
from headrace.errors import InvalidInput


def submission(value: Any = "hello", **fields: Any) -> dict[str, Any]:
    return {"model": "echo", "input": value, **fields}


def test_submissions_that_differ_in_their_inputs_alone_have_one_and_the_same_terms() -> None:
    options = {"tier": "spot", "max_attempts": 7}

    first, hello = read_submission(submission("hello", options=options, metadata={"a": "b"}))
    second, none = read_submission(submission(None, options=options, metadata={"a": "b"}))

    assert first is second
    assert (hello, none) == ("hello", None)
    assert (first.model, first.body.options.max_attempts, first.body.metadata) == ("echo", 7, {"a": "b"})


@pytest.mark.parametrize("option", ["max_attempts", "seed"])
@pytest.mark.parametrize(("good", "bad"), [(1, True), (1, "1"), (1, 1.5)])
def test_what_only_looks_equal_is_checked_for_itself(option: str, good: Any, bad: Any) -> None:
    read_submission(submission(options={option: good}))

    with pytest.raises(InvalidInput, match=f"/options/{option}"):
        read_submission(submission(options={option: bad}))


def test_what_is_wrong_is_said_each_time() -> None:
    for _ in range(2):
        with pytest.raises(InvalidInput, match="/metadata/a: must be a string; /wrong: is not known"):
            read_submission(submission(metadata={"a": 1}, wrong=1))


@pytest.mark.parametrize("document", [{"model": "echo"}, {}, [], "input", None])
def test_what_has_no_input_is_refused(document: Any) -> None:
    with pytest.raises(InvalidInput):
        read_submission(document)


def test_what_is_nested_too_deeply_to_be_written_is_refused_as_unknown() -> None:
    deep = orjson.loads(b"[" * 1000 + b"]" * 1000)

    with pytest.raises(InvalidInput, match="/deep: is not known"):
        read_submission(submission(deep=deep))


def test_long_terms_are_read_each_time() -> None:
    notes = {str(number): "x" * 500 for number in range(16)}

    first, _ = read_submission(submission(metadata=notes))
    second, _ = read_submission(submission(metadata=notes))

    assert first is not second
    assert first.body == second.body


def test_it_matters_when_a_job_came_whose_terms_name_a_time() -> None:
    plain, _ = read_submission(submission())
    timed, _ = read_submission(submission(options={"deadline": "PT1H"}))

    assert (plain.names_times, timed.names_times) == (False, True)


@pytest.mark.parametrize(
    "fields", [{"options": {"admission": "strict"}}, {"webhook": {"url": "https://example.com/hook"}}]
)
def test_more_than_the_model_must_be_asked_for_strict_admission_and_for_receivers(fields: dict[str, Any]) -> None:
    assert read_submission(submission(**fields))[0].needs_asking
    assert not read_submission(submission())[0].needs_asking
