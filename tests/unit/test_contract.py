"""The contract's small values: names, states, keys, tiers, errors, and that it drags no framework in."""

import subprocess
import sys
from importlib.resources import files

import pytest

from headrace.errors import FieldError, HeadraceError, InvalidInput, QueueFull
from headrace.groups import group_of, split_group
from headrace.job_errors import error_document
from headrace.jobs import FIELDS, TRANSITIONS, Cause, Job, JobStatus, Lease, NewJob
from headrace.keys import Keys, spell_keys
from headrace.model_ref import ModelRef, valid_name
from headrace.redis_op import RedisOp, assemble, load_script, script_names
from headrace.tiers import FLOOR_MS, OFFSET_MS, Tier

RECORD = {"v": "1", "s": "running", "f": "17", "a": "1", "n": "3", "m": "cat@2", "t": "spot", "z": "5.5", "q": "9"}


# --- imports -------------------------------------------------------------------------------------------------


def test_the_contract_imports_no_framework() -> None:
    heavy = ("torch", "celery", "kombu", "fastapi", "starlette", "numpy")
    modules = "headrace.store, headrace.sync_redis, headrace.mux, headrace.client, headrace.model, headrace.cli"
    program = f"import sys, {modules}\nprint([name for name in {heavy} if name in sys.modules])"

    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert out.stdout.strip() == "[]"


# --- model names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ref", [ModelRef("a", 1), ModelRef("all-minilm_l6.v2", 12)])
def test_a_model_version_reads_as_it_was_written(ref: ModelRef) -> None:
    assert ref == ModelRef.parse(str(ref))


@pytest.mark.parametrize("text", ["", "cat", "cat@", "cat@0", "cat@-1", "cat@1.5", "Cat@1", "@1", "a..b@1", "cat@1@2"])
def test_what_is_no_model_version_is_refused_with_a_way_out(text: str) -> None:
    with pytest.raises(InvalidInput, match="name@3"):
        ModelRef.parse(text)


@pytest.mark.parametrize(
    ("name", "is_valid"),
    [("a", True), ("0", True), ("a" * 48, True), ("a" * 49, False), ("-a", False), ("a/b", False), ("a\n", False)],
)
def test_names_are_short_and_plain(name: str, is_valid: bool) -> None:
    assert is_valid == valid_name(name)


# --- states and records --------------------------------------------------------------------------------------


def test_every_state_has_its_moves_and_terminal_ones_have_none() -> None:
    assert set(JobStatus) == set(TRANSITIONS)
    assert {status for status in JobStatus if status.is_terminal} == {s for s, news in TRANSITIONS.items() if not news}


def test_every_state_can_be_reached_and_left_for_an_end() -> None:
    reached = {JobStatus.QUEUED}.union(*TRANSITIONS.values())

    assert set(JobStatus) == reached
    assert all(status.is_terminal or any(new.is_terminal for new in TRANSITIONS[status]) for status in JobStatus)


def test_a_record_is_read_back() -> None:
    job = Job.from_record("acme/c1-x", {**RECORD, "w": "w1", "b": "12"})

    assert ("c1-x", "acme", "acme/c1-x", ModelRef("cat", 2)) == (job.id, job.tenant, job.member, job.ref)
    assert (job.status, job.fence, job.score, job.worker, job.started_ms) == (JobStatus.RUNNING, 17, 5.5, "w1", 12)


@pytest.mark.parametrize(("begun", "started_ms"), [("11", 12), ("12", 12), ("13", 13), ("5", 5)])
def test_a_pass_never_begins_a_moment_before_its_claim(begun: str, started_ms: int) -> None:
    job = Job.from_record("acme/c1-x", {**RECORD, "w": "w1", "l": "12", "b": begun})

    assert started_ms == job.started_ms


def test_fields_that_are_missing_or_empty_read_as_none() -> None:
    job = Job.from_record("acme/c1-x", {**RECORD, "w": "", "l": ""})

    assert (job.worker, job.claimed_ms, job.reason, job.deadline_ms) == (None, None, None, None)


@pytest.mark.parametrize("field", [field for field in RECORD if field != "v"])
def test_a_damaged_record_is_not_read_as_a_job(field: str) -> None:
    missing = {name: value for name, value in RECORD.items() if name != field}

    with pytest.raises(KeyError):
        Job.from_record("acme/c1-x", missing)


def test_every_field_has_one_letter() -> None:
    assert all(len(field) == 1 for field in FIELDS)


def test_member_and_lease_are_spelled_as_the_scripts_spell_them() -> None:
    job = NewJob(id="c1-x", tenant="acme", ref=ModelRef("cat", 2), tier=Tier.SPOT, input=b"{}")

    assert (job.member, str(Lease(job.member, 17))) == ("acme/c1-x", "acme/c1-x#17")


def test_an_error_document_says_cause_detail_and_whether_to_try_again() -> None:
    document = error_document(Cause.OOM, 'out of "memory"', retryable=True)

    assert document == b'{"cause":"oom","detail":"out of \\"memory\\"","retryable":true}'


def test_an_error_document_points_to_wrong_fields() -> None:
    document = error_document(Cause.INPUT, "no", fields=[FieldError("/input/a", "is bad", "bad")])

    assert document.endswith(b'"retryable":false,"errors":[{"pointer":"/input/a","code":"bad","detail":"is bad"}]}')


# --- keys and scripts ----------------------------------------------------------------------------------------


def test_keys_carry_cell_and_tenant() -> None:
    keys = Keys(cell="c9")

    assert keys.job("acme/c1-x") == "hr:c9:j:acme/c1-x"
    assert keys.idempotency("a", "k") != keys.idempotency("b", "k")
    assert keys.idempotency("a", "k") != Keys(cell="c8").idempotency("a", "k")


@pytest.mark.parametrize("tier", Tier)
def test_a_group_reads_as_it_was_written(tier: Tier) -> None:
    ref = ModelRef("all-minilm_l6.v2", 3)

    assert (ref, tier) == split_group(group_of(ref, tier))


def test_scripts_get_the_spelling_of_keys_from_the_contract() -> None:
    assert spell_keys("redis.call('GET', JOB .. member)") == "redis.call('GET', P .. 'j:' .. member)"
    assert spell_keys("local JOBS = 1") == "local JOBS = 1"


def test_a_script_begins_with_its_flags_and_ends_with_its_body() -> None:
    script = assemble("x", "#!lua flags=allow-oom\nreturn JOB\n", "")

    assert script.text == "#!lua flags=allow-oom\nlocal P = KEYS[1]\nreturn P .. 'j:'\n"


def test_a_script_brings_along_what_it_uses_and_what_that_uses_and_no_more() -> None:
    shared = "local A = 1\n\nlocal function b()\n  return A\nend\n\nlocal function c()\n  return b()\nend\n"

    assert assemble("x", "#!lua\nreturn b()\n", shared).text == (
        "#!lua\nlocal P = KEYS[1]\nlocal A = 1\n\nlocal function b()\n  return A\nend\n\nreturn b()\n"
    )


def test_what_only_the_long_way_uses_stands_within_it() -> None:
    shared = "local A = 1\n\nlocal function b()\n  return A\nend\n\nlocal function c()\n  return b()\nend\n\n"
    body = "#!lua\nlocal function go_long()\n  --> long way\nend\nreturn A or go_long()\n"

    assert assemble("x", body, shared, "  return c()\n").text == (
        "#!lua\nlocal P = KEYS[1]\nlocal A = 1\n\nlocal function go_long()\n"
        "local function b()\n  return A\nend\n\nlocal function c()\n  return b()\nend\n\n"
        "  return c()\nend\nreturn A or go_long()\n"
    )


def test_what_is_only_spoken_of_is_not_used() -> None:
    shared = "local A = 1\n\nlocal function b()\n  return 2 -- not A\nend\n\n"

    assert assemble("x", "#!lua\n-- b is not called\nreturn 3\n", shared).text == (
        "#!lua\nlocal P = KEYS[1]\n-- b is not called\nreturn 3\n"
    )
    assert "local A" not in assemble("x", "#!lua\nreturn b()\n", shared).text


def test_every_long_way_has_its_place_in_a_script_and_begins_with_what_goes_it() -> None:
    folder = files("headrace") / "lua"
    long_ways = {path.name: path.read_text() for path in (folder / "long").iterdir()}

    places = {path.name for path in folder.iterdir() if path.is_file() and "  --> long way\n" in path.read_text()}

    assert places == set(long_ways)
    assert all(text.startswith("  -- What is not as usual: ") for text in long_ways.values())


@pytest.mark.parametrize("name", script_names())
def test_every_script_says_what_it_touches_and_what_it_takes(name: str) -> None:
    text = load_script(name).text

    assert text.startswith("#!lua")
    assert f"\n-- {name}: " in text
    assert all(f"\n-- {word} " in text for word in ("touches", "ARGV", "reply"))


@pytest.mark.parametrize("name", script_names())
def test_only_submit_may_be_refused_when_memory_is_full(name: str) -> None:
    flags = load_script(name).text.partition("\n")[0]

    assert (name == "submit") == (flags == "#!lua")


@pytest.mark.parametrize("name", script_names())
def test_no_script_walks_over_all_keys(name: str) -> None:
    text = load_script(name).text

    assert not [word for word in ("'KEYS'", "'SCAN'", "ZPOPMIN", "math.random") if word in text]


def test_an_operation_is_sent_by_digest_and_in_full_when_that_is_unknown() -> None:
    script = load_script("renew")
    op = RedisOp(int, ("hr:c1:", 5), script)

    assert ("EVALSHA", script.sha, 1, "hr:c1:", 5) == op.command
    assert ("EVAL", script.text, 1, "hr:c1:", 5) == op.fallback
    assert RedisOp(bytes, ("GET", "k")).command == ("GET", "k")


# --- tiers ---------------------------------------------------------------------------------------------------


def test_no_tier_may_reach_into_the_one_above() -> None:
    order = sorted(Tier, key=lambda tier: OFFSET_MS[tier])

    assert order == [Tier.PRIORITY, Tier.STANDARD, Tier.SPOT]
    assert [OFFSET_MS[tier] for tier in order[:2]] == [FLOOR_MS[tier] for tier in order[1:]]


# --- errors --------------------------------------------------------------------------------------------------


def all_errors(kind: type[HeadraceError] = HeadraceError) -> list[type[HeadraceError]]:
    children = [child for child in kind.__subclasses__() if child.__module__ == "headrace.errors"]
    return [kind, *(error for child in children for error in all_errors(child))]


def test_every_error_has_a_code_of_its_own() -> None:
    codes = [error.code for error in all_errors()]

    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("error", all_errors())
def test_every_error_has_a_status_and_a_docstring_that_says_when(error: type[HeadraceError]) -> None:
    assert 400 <= error.status < 600
    assert error is HeadraceError or (error.__doc__ or "").startswith("Raised ")


def test_an_error_keeps_what_it_was_told() -> None:
    error = QueueFull("100 jobs wait", fields=[FieldError("/model", "is busy")], retry_after_s=2.5)

    assert (str(error), error.detail, error.retry_after_s) == ("100 jobs wait", "100 jobs wait", 2.5)
    assert (FieldError("/model", "is busy", "invalid"),) == error.fields
    assert error.retryable
