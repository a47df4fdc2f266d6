"""Numbers for people."""

import pytest

from headrace.words import count_in_words, size_in_words, time_in_words


@pytest.mark.parametrize(
    ("size_bytes", "words"),
    [(0, "0 B"), (634, "634 B"), (1_000, "1.0 KB"), (90_900_000, "90.9 MB"), (3 * 10**15, "3000.0 TB")],
)
def test_a_size_has_the_unit_that_suits_it(size_bytes: int, words: str) -> None:
    assert words == size_in_words(size_bytes)


@pytest.mark.parametrize(
    ("time_s", "words"),
    [(0.0, "0 ms"), (0.000028, "0.028 ms"), (0.25, "250.0 ms"), (4.2, "4.2 s"), (150, "2.5 min"), (90_000, "1.0 d")],
)
def test_a_time_has_the_unit_that_suits_it(time_s: float, words: str) -> None:
    assert words == time_in_words(time_s)


def test_one_thing_is_not_many() -> None:
    assert ("1 file", "2 files") == (count_in_words(1, "file"), count_in_words(2, "file"))
