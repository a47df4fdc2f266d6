"""Which versions that leave the device stay in host memory."""

import pytest

from workers.host_memory import HostMemory

MB = 1_000_000


def holding(*refs: str, budget_bytes: int = 100 * MB) -> HostMemory:
    """These are there, 40 MB each, the first one used most; each return saves 9 s."""
    host = HostMemory(budget_bytes)
    for less, ref in enumerate(refs):
        host.used(ref, 100 - 10 * less, now=0.0)
        host.parked(ref, 40 * MB, 9.0)
    return host


def room(host: HostMemory, *, jobs: int, size_bytes: int = 40 * MB, saved_s: float = 9.0) -> list[str] | None:
    """Ask for room for one that was used so often."""
    host.used("new", jobs, now=0.0)
    return host.room_for("new", size_bytes, saved_s, kept=(), now=0.0)


def test_what_fits_is_parked() -> None:
    assert [] == room(holding("a"), jobs=1)


def test_without_a_budget_nothing_is_parked() -> None:
    assert room(holding(budget_bytes=0), jobs=1000) is None


def test_what_is_no_faster_to_copy_than_to_load_is_not_parked() -> None:
    assert room(holding("a"), jobs=1000, saved_s=0.0) is None


def test_what_is_larger_than_all_host_memory_is_not_parked_and_nothing_goes_for_it() -> None:
    assert room(holding("a"), jobs=1000, size_bytes=101 * MB) is None


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ({"jobs": 95}, ["b"]),
        ({"jobs": 89}, None),
        ({"jobs": 95, "saved_s": 4.0}, None),
        ({"jobs": 95, "size_bytes": 100 * MB}, None),
        ({"jobs": 1000, "size_bytes": 100 * MB}, ["b", "a"]),
    ],
    ids=["wanted more", "wanted less", "saves less", "larger", "larger and wanted much more"],
)
def test_those_go_that_save_fewer_seconds_for_each_byte_and_only_for_one_that_saves_more(
    new: dict[str, int], expected: list[str] | None
) -> None:
    assert expected == room(holding("a", "b"), **new)


def test_what_is_about_to_come_back_does_not_go() -> None:
    host = holding("a", "b")
    host.used("new", 1000, now=0.0)

    assert ["a"] == host.room_for("new", 40 * MB, 9.0, kept=["b"], now=0.0)


def test_what_takes_more_than_was_thought_drives_out_the_least() -> None:
    host = holding("a", "b")
    host.parked("a", 61 * MB, 9.0)

    assert ["a"] == host.overflow(now=0.0)
    host.gone("a")
    assert [] == host.overflow(now=0.0)
    assert 40 * MB == host.used_bytes


def test_what_nobody_wants_any_more_goes_for_what_is_wanted_now_however_often_it_was() -> None:
    host = holding("a", "b")
    host.used("new", 2, now=10_000.0)

    assert ["b"] == host.room_for("new", 40 * MB, 9.0, kept=(), now=10_000.0)
