"""Who may stay connected, for how long, and who makes way."""

import pytest

from api.connection_book import ConnectionBook, Entry, Phase

PATIENCE_S = {Phase.PARTING: 2.0, Phase.IDLE: 75.0, Phase.HEAD: 10.0, Phase.BODY: 20.0}


def book_of(most: int) -> ConnectionBook[str]:
    return ConnectionBook(most=most, patience_s=PATIENCE_S, sending_s=60.0)


def test_whoever_has_idled_longest_makes_way_for_a_newcomer() -> None:
    book = book_of(3)
    for now, name in enumerate("abc"):
        book.enter(name, now)
        book.note(name, Phase.BUSY, now)
    book.note("b", Phase.IDLE, 3)
    book.note("a", Phase.IDLE, 4)

    assert [Entry(True, "b"), Entry(True, "a")] == [book.enter("d", 5), book.enter("e", 6)]
    assert 3 == len(book)


def test_requests_that_never_get_on_make_way_when_nobody_idles() -> None:
    book = book_of(2)
    book.enter("slow", 0)
    book.enter("slower", 1)

    assert Entry(True, "slow") == book.enter("new", 2)


@pytest.mark.parametrize("phase", [Phase.BODY, Phase.BUSY])
def test_nobody_who_is_served_makes_way(phase: Phase) -> None:
    book = book_of(1)
    book.enter("served", 0)
    book.note("served", phase, 0)

    assert Entry(False, None) == book.enter("new", 1)


def test_of_those_who_were_refused_only_one_is_there_at_a_time() -> None:
    book = book_of(1)
    book.enter("served", 0)
    book.note("served", Phase.BUSY, 0)
    book.enter("first", 1)
    book.note("first", Phase.PARTING, 1)

    assert Entry(False, "first") == book.enter("second", 2)
    assert 2 == len(book)


def test_patience_ends_and_begins_anew_with_what_comes() -> None:
    book = book_of(10)
    book.enter("head", 0)
    book.enter("body", 0)
    book.note("body", Phase.BODY, 0)
    book.enter("busy", 0)
    book.note("busy", Phase.BUSY, 0)

    assert [] == book.overdue(9.9)
    assert [("head", Phase.HEAD)] == book.overdue(10)
    book.note("body", Phase.BODY, 19)
    book.leave("head")
    assert [] == book.overdue(38)
    assert [("body", Phase.BODY)] == book.overdue(1e9)


def test_whoever_takes_nothing_is_found_whatever_else_it_is_at() -> None:
    book = book_of(10)
    for name in ("deaf", "slow", "gone"):
        book.enter(name, 0)
        book.note(name, Phase.BUSY, 0)
        book.stall(name, 0)

    book.flow("slow")
    book.leave("gone")

    assert [] == book.stalled(59)
    assert ["deaf"] == book.stalled(60)
    book.stall("deaf", 60)
    assert [] == book.stalled(100)


def test_nothing_is_kept_of_who_is_gone() -> None:
    book = book_of(10)
    book.enter("a", 0)
    book.stall("a", 0)

    book.leave("a")
    book.leave("a")

    assert (0, [], []) == (len(book), book.overdue(1e9), book.stalled(1e9))
