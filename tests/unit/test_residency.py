"""Which of many models a worker keeps in memory, and when another one is let in."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.tiers import Tier
from workers.eviction import STAY, Eviction, UseRate
from workers.model_choice import KAPPA, PATIENCE, Backlog, weigh
from workers.residency import NOTHING, Footprint, Plan, Residency

MB = 1_000_000
LONG_AGO = -1e6
MUCH, LITTLE = 1000, 1


def waiting(jobs: int, oldest_s: float = 0.0) -> list[Backlog]:
    return [Backlog(Tier.STANDARD, jobs, oldest_s)]


def holding(*refs: str, budget_bytes: int = 100 * MB, pinned: Sequence[str] = ()) -> Residency:
    """A worker that has had these for long, 40 MB each with loads of 1 s."""
    residency = Residency(budget_bytes=budget_bytes, pinned=lambda ref: ref in pinned)
    for used, ref in enumerate(refs, start=1):
        residency.loaded(ref, Footprint(40 * MB), used_bytes=40 * MB * used, now=LONG_AGO)
    return residency


# --- eviction


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


# --- what is worth a load


@pytest.mark.parametrize(
    ("jobs", "oldest_s", "expected"),
    [
        (int(KAPPA * 2.0 / 0.1), 0.0, True),
        (int(KAPPA * 2.0 / 0.1) - 1, 0.0, False),
        (1, 8.0, True),
        (1, 7.9, False),
        (0, 0.0, False),
    ],
)
def test_a_load_pays_by_the_work_that_waits_or_because_the_oldest_can_wait_no_longer(
    jobs: int, oldest_s: float, expected: bool
) -> None:
    candidate = weigh("cat@1", waiting(jobs, oldest_s), job_s=0.1, load_s=2.0, patience_s=10.0)

    assert expected == candidate.is_worth_it


def test_priority_jobs_weigh_more_than_spot_jobs_and_old_ones_more_than_new_ones() -> None:
    def urgency(tier: Tier, oldest_s: float) -> float:
        return weigh("cat@1", [Backlog(tier, 10, oldest_s)], job_s=0.1, load_s=1.0, patience_s=10.0).urgency

    assert urgency(Tier.PRIORITY, 0.0) > urgency(Tier.STANDARD, 0.0) > urgency(Tier.SPOT, 0.0)
    assert urgency(Tier.SPOT, 5.0) > urgency(Tier.SPOT, 0.0)


# --- one worker


def test_without_a_budget_everything_is_loaded() -> None:
    assert Plan(load=("a", "b")) == Residency().plan(["a", "b"], busy=(), now=0.0)


def test_what_fits_is_loaded_before_there_are_jobs() -> None:
    residency = holding("a")
    residency.expect("b", Footprint(40 * MB))

    assert Plan(load=("b",)) == residency.plan(["b"], busy=(), now=0.0)


def test_nothing_goes_for_what_nobody_wants() -> None:
    residency = holding("a", "b")
    residency.expect("c", Footprint(40 * MB))

    assert NOTHING == residency.plan(["c"], busy=(), now=0.0)


def test_one_goes_for_what_much_waits_for_and_then_that_is_loaded() -> None:
    residency = holding("a", "b")
    residency.ran("b", 10, job_s=0.1, now=0.0)
    residency.expect("c", Footprint(40 * MB))
    residency.saw({"c": waiting(MUCH)})

    first = residency.plan(["c"], busy=(), now=0.0)
    residency.unloaded("a", used_bytes=40 * MB)
    second = residency.plan(["a", "c"], busy=(), now=0.1)

    assert (Plan(unload=("a",)), Plan(load=("c",))) == (first, second)


def test_what_is_to_go_is_closed_at_once_and_unloaded_when_its_jobs_have_run() -> None:
    residency = holding("a", "b")
    residency.expect("c", Footprint(40 * MB))
    residency.saw({"c": waiting(MUCH)})

    while_busy = residency.plan(["c"], busy={"a", "b"}, now=0.0)
    closed = set(residency.leaving)
    afterwards = residency.plan(["c"], busy=(), now=1.0)

    assert NOTHING == while_busy
    assert closed == set(afterwards.unload) != set()


def test_a_little_work_waits_while_there_is_other_work_but_not_when_there_is_none() -> None:
    residency = holding("a", "b")
    residency.expect("c", Footprint(40 * MB))

    residency.saw({"c": waiting(LITTLE), "a": waiting(LITTLE)})
    beside_work = residency.plan(["c"], busy=(), now=0.0)
    residency.saw({"c": waiting(LITTLE)})
    while_idle = residency.plan(["c"], busy=(), now=0.0)

    assert NOTHING == beside_work
    assert while_idle.unload


def test_what_has_much_work_itself_stays_unless_another_can_wait_no_longer() -> None:
    residency = holding("a", "b")
    residency.expect("c", Footprint(40 * MB))

    residency.saw({ref: waiting(MUCH) for ref in "abc"})
    in_time = residency.plan(["c"], busy=(), now=0.0)
    residency.saw({ref: waiting(MUCH, 100.0) for ref in "abc"})
    too_late = residency.plan(["c"], busy=(), now=0.0)

    assert NOTHING == in_time
    assert too_late.unload


def test_what_is_asked_for_comes_without_jobs_and_without_a_rest() -> None:
    residency = holding("a", "b")
    residency.loaded("b", Footprint(40 * MB, load_s=9.0), used_bytes=80 * MB, now=0.0)
    residency.expect("c", Footprint(40 * MB))
    residency.ask(["c"])

    assert Plan(unload=("a",)) == residency.plan(["c"], busy=(), now=1.0)


def test_what_is_pinned_never_goes_and_what_has_no_room_beside_it_says_so() -> None:
    residency = holding("a", "b", pinned=["a", "b"])
    residency.expect("c", Footprint(40 * MB))
    residency.saw({"c": waiting(MUCH, 1e6)})

    assert NOTHING == residency.plan(["c"], busy=(), now=0.0)
    assert "it needs 40 MB beside what must stay loaded, and this worker may use 100 MB" == residency.misfit("c")


def test_what_is_loaded_anew_makes_way_for_itself() -> None:
    residency = holding("a", "b", pinned=["a", "b"])
    residency.saw({"b": waiting(MUCH)})

    assert "" == residency.misfit("b")
    assert Plan(load=("b",)) == residency.plan(["b"], busy=(), now=0.0)


def test_what_could_not_be_loaded_anew_is_resident_no_more_and_its_memory_is_there_for_others() -> None:
    residency = holding("a", "b")
    residency.saw({"b": waiting(MUCH)})
    assert Plan(load=("b",)) == residency.plan(["b"], busy=(), now=0.0)

    residency.refused("b", used_bytes=40 * MB, now=0.0)

    residency.expect("c", Footprint(40 * MB))
    assert Plan(load=("c",)) == residency.plan(["c"], busy=(), now=0.0)


def test_what_passes_and_loads_need_for_a_moment_is_kept_free() -> None:
    residency = holding("a")
    residency.expect("c", Footprint(40 * MB, extra_bytes=21 * MB))

    assert NOTHING == residency.plan(["c"], busy=(), now=0.0)


def test_a_process_that_died_gives_its_memory_back() -> None:
    residency = holding("a", "b")

    residency.process_lost(["a", "b"])

    assert Plan(load=("c",)) == residency.plan(["c"], busy=(), now=0.0)


def on_one_device() -> Residency:
    """Two versions of 40 MB, the second in a process of its own; each process says what both use."""
    residency = Residency(budget_bytes=100 * MB, device_wide=True)
    residency.loaded("a", Footprint(40 * MB), used_bytes=40 * MB, now=LONG_AGO)
    residency.loaded("b", Footprint(40 * MB), used_bytes=80 * MB, now=LONG_AGO, process="b")
    residency.expect("c", Footprint(20 * MB))
    return residency


def test_what_processes_say_of_the_device_that_they_share_is_not_added_up() -> None:
    assert Plan(load=("c",)) == on_one_device().plan(["c"], busy=(), now=0.0)


def test_a_process_that_made_way_on_a_shared_device_leaves_what_the_others_use() -> None:
    residency = on_one_device()

    residency.unloaded("b", used_bytes=None, process="b")

    residency.expect("e", Footprint(61 * MB))
    assert NOTHING == residency.plan(["e"], busy=(), now=0.0)
    residency.expect("d", Footprint(60 * MB))
    assert Plan(load=("d",)) == residency.plan(["d"], busy=(), now=0.0)


def test_a_process_that_died_on_a_shared_device_leaves_what_the_others_use() -> None:
    residency = on_one_device()

    residency.process_lost(["b"], "b")

    residency.expect("e", Footprint(61 * MB))
    assert NOTHING == residency.plan(["e"], busy=(), now=0.0)
    residency.expect("d", Footprint(60 * MB))
    assert Plan(load=("d",)) == residency.plan(["d"], busy=(), now=0.0)


class Bench:
    """A worker with memory for two of four models, in time that does not pass by itself."""

    def __init__(self) -> None:
        self.residency = Residency(budget_bytes=2 * MB)
        self.loaded: set[str] = set()
        self.now = self.load_s = 0.0
        self.waiting = dict.fromkeys("abcd", 0)
        self.since = dict.fromkeys("abcd", 0.0)
        self.longest_s = 0.0
        for ref in "abcd":
            self.residency.expect(ref, Footprint(MB, load_s=ord(ref) - ord("a") + 1.0))

    def step(self, arrivals: Sequence[str]) -> None:
        for ref in arrivals:
            self.since[ref] = self.since[ref] if self.waiting[ref] else self.now
            self.waiting[ref] += 1
        backlog = {ref: waiting(jobs, self.now - self.since[ref]) for ref, jobs in self.waiting.items() if jobs}
        self.residency.saw(backlog)
        plan = self.residency.plan(sorted(set("abcd") - self.loaded), busy=(), now=self.now)
        for ref in plan.unload:
            self.loaded.discard(ref)
            self.residency.unloaded(ref, used_bytes=MB * len(self.loaded))
        for ref in plan.load:
            self.load(ref)
        self.run()

    def load(self, ref: str) -> None:
        load_s = self.residency.footprint(ref).load_s
        self.now, self.load_s = self.now + load_s, self.load_s + load_s
        self.loaded.add(ref)
        self.residency.loaded(ref, Footprint(MB, load_s=load_s), used_bytes=MB * len(self.loaded), now=self.now)

    def run(self) -> None:
        self.now += 0.5
        ready = [ref for ref in self.loaded if self.waiting[ref]]
        if ready:
            ref = min(ready, key=self.since.__getitem__)
            self.longest_s = max(self.longest_s, self.now - self.since[ref])
            self.residency.ran(ref, self.waiting[ref], job_s=0.1, now=self.now)
            self.waiting[ref] = 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.sampled_from("aaaaabbbccd"), max_size=6), min_size=50, max_size=300))
def test_whatever_comes_memory_suffices_loading_takes_a_third_at_most_and_nothing_starves(
    arrivals: list[list[str]],
) -> None:
    bench = Bench()

    for step in arrivals:
        bench.step(step)
        assert len(bench.loaded) <= 2
        # The last load has had no time to be rested from.
        assert bench.load_s - 4.0 <= bench.now / (1 + KAPPA)

    loads_s = 1.0 + 2.0 + 3.0 + 4.0
    slowest_s = PATIENCE * loads_s + 4 * (1 + KAPPA + STAY) * loads_s
    assert bench.longest_s <= slowest_s
    assert max((bench.now - bench.since[ref] for ref in "abcd" if bench.waiting[ref]), default=0.0) <= slowest_s


# --- the second level


def with_host_memory(*refs: str, host_bytes: int = 100 * MB, can_park: bool = True) -> Residency:
    """As `holding`, and those that go may stay in host memory; a load takes 10 s."""
    residency = Residency(budget_bytes=100 * MB, host_bytes=host_bytes)
    for used, ref in enumerate(refs, start=1):
        footprint = Footprint(40 * MB, load_s=10.0, can_park=can_park)
        residency.loaded(ref, footprint, used_bytes=40 * MB * used, now=LONG_AGO)
        residency.ran(ref, used, job_s=0.1, now=0.0)
    residency.expect("c", Footprint(40 * MB, load_s=10.0))
    residency.saw({"c": waiting(MUCH)})
    return residency


def park_one(*, took_s: float = 1.0) -> Residency:
    """One that has parked `a` for `c`."""
    residency = with_host_memory("a", "b")
    residency.plan(["c"], busy=(), now=0.0)
    residency.parked("a", 40 * MB, took_s, used_bytes=40 * MB, now=0.0)
    assert Plan(load=("c",)) == residency.plan(["a", "c"], busy=(), now=0.0)
    footprint = Footprint(40 * MB, load_s=10.0, can_park=True)
    residency.loaded("c", footprint, used_bytes=80 * MB, now=0.0)
    return residency


def test_what_makes_way_on_the_device_is_parked_where_it_can_be() -> None:
    assert Plan(park=("a",)) == with_host_memory("a", "b").plan(["c"], busy=(), now=0.0)


@pytest.mark.parametrize("without", [{"host_bytes": 0}, {"host_bytes": 39 * MB}, {"can_park": False}])
def test_what_has_no_place_in_host_memory_or_cannot_be_there_is_unloaded(without: dict[str, int]) -> None:
    residency = with_host_memory("a", "b", **without)  # type: ignore[arg-type]

    assert Plan(unload=("a",)) == residency.plan(["c"], busy=(), now=0.0)


def test_what_is_parked_takes_nothing_of_the_device() -> None:
    residency = park_one()

    assert residency.is_parked("a")
    residency.expect("d", Footprint(20 * MB))
    assert Plan(load=("d",)) == residency.plan(["d"], busy=(), now=0.0)


def test_what_is_parked_comes_back_for_as_much_work_as_a_copy_is_worth() -> None:
    residency = park_one(took_s=1.0)
    # The copy of whoever makes way is paid for, too.
    enough = int(KAPPA * 2 * 1.0 / 0.1)

    assert 1.0 == residency.next_load_s("a")
    residency.saw({"a": waiting(enough - 1), "b": waiting(LITTLE)})
    assert NOTHING == residency.plan(["a"], busy=(), now=100.0)
    residency.saw({"a": waiting(enough), "b": waiting(LITTLE)})
    assert NOTHING != residency.plan(["a"], busy=(), now=100.0)


def test_a_return_is_rested_from_by_its_own_time_and_that_is_what_the_next_one_is_thought_to_take() -> None:
    residency = park_one(took_s=1.0)
    residency.saw({"a": waiting(MUCH)})
    residency.unloaded("b", used_bytes=40 * MB)

    back = Footprint(40 * MB, load_s=10.0, return_s=3.0, can_park=True)
    residency.loaded("a", back, used_bytes=80 * MB, now=100.0)
    residency.ran("c", 1000, job_s=0.1, now=100.0)

    assert not residency.is_parked("a")
    residency.expect("b", Footprint(40 * MB))
    residency.saw({"b": waiting(MUCH)})
    assert NOTHING == residency.plan(["b"], busy=(), now=105.9)
    assert Plan(park=("a",)) == residency.plan(["b"], busy=(), now=106.1)
    residency.parked("a", 40 * MB, 1.0, used_bytes=40 * MB, now=107.0)
    assert 3.0 == residency.next_load_s("a")


def test_host_memory_is_freed_before_another_is_parked_there() -> None:
    residency = with_host_memory("a", "b", host_bytes=40 * MB)
    residency.plan(["c"], busy=(), now=0.0)
    residency.parked("a", 40 * MB, 1.0, used_bytes=40 * MB, now=0.0)
    residency.loaded("c", Footprint(40 * MB, load_s=10.0, can_park=True), used_bytes=80 * MB, now=0.0)
    residency.ran("c", 1, job_s=0.1, now=0.0)
    residency.expect("d", Footprint(40 * MB))
    residency.saw({"d": waiting(MUCH)})

    assert Plan(unload=("a",), park=("b",)) == residency.plan(["d"], busy=(), now=100.0)


def test_a_process_that_died_has_lost_what_was_parked_in_it() -> None:
    residency = park_one()

    residency.process_lost(["a", "b", "c"])

    assert not residency.is_parked("a")
    assert 10.0 == residency.next_load_s("a")
