"""Eviction: which of the loaded models makes way."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.eviction import STAY, Eviction, UseRate

MB = 1_000_000


def test_a_rate_halves_in_its_half_life() -> None:
    rate = UseRate(half_life_s=10.0)

    rate.add(100, now=0.0)

    assert pytest.approx(2 * rate.per_s(20.0)) == rate.per_s(10.0)


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"jobs": 10}, "wanted less often"),
        ({"load_s": 1.0}, "loaded again sooner"),
        ({"size_bytes": 20 * MB}, "larger"),
    ],
)
def test_what_is_wanted_less_or_loads_faster_or_is_larger_goes_first(other: dict[str, int], why: str) -> None:
    eviction = Eviction()
    for ref, changed in (("kept", {}), (why, other)):
        traits = {"jobs": 100, "load_s": 5.0, "size_bytes": 10 * MB} | changed
        eviction.loaded(ref, size_bytes=int(traits["size_bytes"]), load_s=traits["load_s"], now=0.0)
        eviction.used(ref, int(traits["jobs"]), now=50.0)

    assert [why] == eviction.victims(5 * MB, kept=(), now=100.0)


def test_what_was_used_much_long_ago_sinks_below_what_is_used_a_little_now() -> None:
    eviction = Eviction()
    for ref in ("former", "a", "b"):
        eviction.loaded(ref, size_bytes=MB, load_s=1.0, now=0.0)
    eviction.used("former", 50, now=1.0)
    for i in range(20):
        # One comes and goes again and again, each time a little more wanted than the one before.
        eviction.loaded(f"passing-{i}", size_bytes=MB, load_s=1.0, now=float(i))
        eviction.used(f"passing-{i}", 10 + 5 * i, now=float(i))
        eviction.evicted(f"passing-{i}")
    for ref in ("a", "b"):
        eviction.used(ref, 1, now=25.0)

    assert ["former"] == eviction.victims(MB, kept=(), now=30.0)


def test_no_more_go_than_must() -> None:
    eviction = Eviction()
    for ref, size in (("small", MB), ("large", 50 * MB)):
        eviction.loaded(ref, size_bytes=size, load_s=1.0, now=0.0)
    eviction.used("large", 1, now=1.0)

    assert ["large"] == eviction.victims(50 * MB, kept=(), now=10.0)


residents = st.lists(
    st.tuples(st.integers(1, 50), st.floats(0.1, 20), st.floats(0, 100), st.integers(0, 50), st.booleans()),
    min_size=1,
    max_size=8,
)


@settings(max_examples=200, deadline=None)
@given(residents, st.integers(1, 200), st.floats(100, 150))
def test_victims_are_enough_and_never_pinned_or_just_loaded(
    loaded: list[tuple[int, float, float, int, bool]], wanted: int, now: float
) -> None:
    eviction = Eviction(pinned=lambda ref: loaded[int(ref)][-1])
    for i, (size, load_s, at, jobs, _) in enumerate(loaded):
        eviction.loaded(str(i), size_bytes=size, load_s=load_s, now=at)
        eviction.used(str(i), jobs, now=at)

    victims = eviction.victims(wanted, kept=(), now=now)

    may_go = {str(i) for i, (_, load_s, at, _, pinned) in enumerate(loaded) if not pinned and now - at >= STAY * load_s}
    could_free = sum(loaded[int(ref)][0] for ref in may_go)
    assert (victims is None) == (could_free < wanted)
    assert set(victims or ()) <= may_go
    sizes = [loaded[int(ref)][0] for ref in victims or ()]
    assert all(sum(sizes) - size < wanted <= sum(sizes) for size in sizes)
