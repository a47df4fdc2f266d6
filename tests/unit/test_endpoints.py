"""Registered receivers: what a change changes, how failing for days stops one, and how secrets are sealed."""

import base64
import stat
from pathlib import Path

import pytest

from headrace.endpoints import (
    ENDS,
    FAILING_S,
    MARK,
    Endpoint,
    EndpointChange,
    EndpointRequest,
    Event,
    Health,
    Include,
    Stop,
    events_of,
    letters_of,
    named_endpoint,
    new_endpoint_id,
)
from headrace.errors import SettingsError
from headrace.secret_box import OpenBox, SecretBox, box_of, key_file, make_key_file
from headrace.settings import Settings
from headrace.webhooks import ROTATION_S

KEY = base64.b64encode(bytes(32)).decode()
DAYS_MS = 1000 * FAILING_S


def endpoint() -> Endpoint:
    return Endpoint(
        id=new_endpoint_id(),
        url="https://example.com/",
        events=frozenset(Event),
        include=Include.INLINE,
        secret="first",
        created_ms=1,
    )


def test_a_change_changes_what_it_names_and_nothing_else() -> None:
    before = endpoint()

    after = before.changed(EndpointChange(include=Include.LINK, enabled=False))

    assert before.model_copy(update={"include": Include.LINK}) == after


def test_the_secret_before_signs_along_for_a_day() -> None:
    rotated = endpoint().rotated("second", 1_000)

    assert ["second", "first"] == rotated.signing(1_000 * ROTATION_S)
    assert ["second"] == rotated.signing(1_000 + 1_000 * ROTATION_S)


def test_days_of_failures_pause_an_endpoint() -> None:
    first = Health().after(500, 1_000)
    later = first.after(0, 1_000 + DAYS_MS - 1)

    assert (1_000, None) == (later.failing_since_ms, later.stopped)
    assert Stop.PAUSED is later.after(500, 1_000 + DAYS_MS).stopped


def test_one_good_answer_forgets_the_failures() -> None:
    assert Health() == Health().after(500, 1_000).after(204, 2_000)


def test_410_stops_an_endpoint_at_once() -> None:
    assert Stop.GONE is Health().after(410, 1_000).stopped


def test_an_endpoint_stands_in_place_of_a_url() -> None:
    assert "ep_1" == named_endpoint(f"{MARK}ep_1")
    assert named_endpoint("https://example.com/") is None


def test_what_is_sealed_is_opened_by_the_same_key_only() -> None:
    box, other = SecretBox(KEY), SecretBox(base64.b64encode(b"x" * 32).decode())
    sealed = box.seal("whsec_abc")

    assert "whsec_abc" == box.open(sealed)
    assert "whsec" not in sealed
    assert sealed != box.seal("whsec_abc")
    for wrong in (other, OpenBox()):
        with pytest.raises(SettingsError, match="webhook_key"):
            wrong.open(sealed)
    with pytest.raises(SettingsError, match="webhook_key"):
        box.open(sealed[:-8] + "AAAAAAA=")


def test_what_was_kept_before_there_was_a_key_can_be_read() -> None:
    assert "whsec_abc" == SecretBox(KEY).open("whsec_abc") == OpenBox().seal("whsec_abc")


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    make_key_file(tmp_path)
    first = key_file(tmp_path).read_text()
    make_key_file(tmp_path)

    assert first == key_file(tmp_path).read_text()
    assert stat.S_IMODE(key_file(tmp_path).stat().st_mode) == 0o600
    sealed = SecretBox(first.strip()).seal("x")
    assert "x" == box_of(Settings(data_dir=tmp_path)).open(sealed)


def test_the_setting_comes_before_the_file(tmp_path: Path) -> None:
    make_key_file(tmp_path)

    assert "x" == box_of(Settings(data_dir=tmp_path, webhook_key=KEY)).open(SecretBox(KEY).seal("x"))
    assert isinstance(box_of(Settings(data_dir=tmp_path / "none")), OpenBox)


@pytest.mark.parametrize("events", [ENDS, ENDS | {Event.STARTED}, {Event.STARTED, Event.FAILED}, {Event.CANCELED}])
def test_a_subscription_is_noted_in_a_few_letters(events: frozenset[Event]) -> None:
    assert events == events_of(letters_of(events))


def test_the_usual_subscription_needs_no_note() -> None:
    assert "" == letters_of(ENDS)
    assert ENDS == EndpointRequest(url="https://example.com").events
