"""Which of many models a worker keeps in memory, and when another one is let in."""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.tiers import Tier
from workers.eviction import STAY
from workers.model_choice import KAPPA, PATIENCE, Backlog
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
