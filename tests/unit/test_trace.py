"""A traceparent is taken as W3C Trace Context says, and ignored where it says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.jobs import MAX_VALUE_BYTES
from headrace.trace import read_traceparent, trace_id_of

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE_ID}-{PARENT_ID}-01"


@pytest.mark.parametrize(
    "text", [VALID, f" {VALID}\t", f"00-{TRACE_ID}-{PARENT_ID}-00", f"00-{TRACE_ID}-{PARENT_ID}-03"]
)
def test_a_valid_header_is_kept_as_it_came(text: str) -> None:
    assert text.strip() == read_traceparent(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00",
        VALID.upper(),
        f"{VALID}-more",
        f"{VALID},{VALID}",
        f"ff-{TRACE_ID}-{PARENT_ID}-01",
        f"00-{'0' * 32}-{PARENT_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID}-{PARENT_ID}-1",
        f"00-{TRACE_ID[:-1]}-{PARENT_ID}-01",
        f"cc-{TRACE_ID}-{PARENT_ID}-01more",
        f"00-{TRACE_ID}-{PARENT_ID}-01\n",
    ],
)
def test_an_invalid_header_is_ignored(text: str) -> None:
    assert read_traceparent(text) == ""


@pytest.mark.parametrize(("flags", "believed"), [("01", "01"), ("ff", "01"), ("fe", "00")])
def test_of_a_later_version_only_what_is_known_is_read(flags: str, believed: str) -> None:
    text = f"cc-{TRACE_ID}-{PARENT_ID}-{flags}-what-the-future-brings"

    assert f"00-{TRACE_ID}-{PARENT_ID}-{believed}" == read_traceparent(text)


@given(st.text(max_size=80) | st.from_regex(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", fullmatch=True))
def test_whatever_comes_fits_into_a_compact_record(text: str) -> None:
    kept = read_traceparent(text)

    assert len(kept.encode()) in (0, 55)
    assert len(kept) <= MAX_VALUE_BYTES
    assert kept == read_traceparent(kept)


def test_the_trace_id_is_what_all_of_a_trace_share() -> None:
    assert TRACE_ID == trace_id_of(VALID)
    assert trace_id_of("") == ""
