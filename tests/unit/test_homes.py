"""Which class a model's jobs belong to by what they cost, and what other classes leave to it."""

import pytest

from headrace.groups import group_of
from headrace.homes import FREE, Manners, read_manners, write_manners
from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from scheduler.demand import Demand, Poured, pour
from scheduler.homes import Homes, Source
from scheduler.observation import ClassLoad, Observation, QueueLoad
from scheduler.policy import Decision, ScalingPolicy

CAT, DOG = ModelRef("cat", 1), ModelRef("dog", 1)
CATS, DOGS = (group_of(ref, Tier.STANDARD) for ref in (CAT, DOG))
SMALL = WorkerClass(min_workers=0, max_workers=8, price_per_hour=1.0)
LARGE = SMALL.model_copy(update={"price_per_hour": 3.0})
CLASSES = {"small": SMALL, "large": LARGE}
#: A cat costs 5 on small and 1.5 on large, a dog 1 and 3.
TIMES = {"small": {str(CAT): 5.0, str(DOG): 1.0}, "large": {str(CAT): 0.5, str(DOG): 1.0}}


def queue(ref: ModelRef = CAT, *, tier: Tier = Tier.STANDARD, waiting: int = 0) -> QueueLoad:
    return QueueLoad(ref, tier, waiting, 0, 0.0)


def load(name: str, ready: int = 1, *, ran: bool = True) -> ClassLoad:
    return ClassLoad(ready=ready, job_s=TIMES[name], ran=frozenset(TIMES[name]) if ran else frozenset())


def loads(*, small: int = 1, large: int = 1) -> dict[str, ClassLoad]:
    return {"small": load("small", small), "large": load("large", large)}


def manners(seen: Observation, classes: dict[str, WorkerClass] | None = None) -> dict[str, Manners]:
    policy = ScalingPolicy(classes=classes or CLASSES)
    return policy.manners(decided(policy, seen), seen)


def decided(policy: ScalingPolicy, seen: Observation) -> Decision:
    policy.decide(seen._replace(queues=()), -1e6)
    return policy.decide(seen, 0.0)


# --- homes -------------------------------------------------------------------------------------------------


def test_each_model_belongs_to_the_class_that_does_its_jobs_for_less() -> None:
    homes = Homes(classes=CLASSES)

    assert ["large", "small"] == [homes.of(queue(ref), loads()) for ref in (CAT, DOG)]


def test_a_class_that_never_ran_a_model_counts_as_quick_as_the_others() -> None:
    unmeasured = {name: ClassLoad(job_s={str(CAT): 0.5}) for name in CLASSES}

    assert "small" == Homes(classes=CLASSES).of(queue(), unmeasured)


def test_work_stays_where_it_is_for_a_difference_that_is_no_larger_than_measurements_vary() -> None:
    homes = Homes(classes=CLASSES)

    said = [
        homes.of(queue(), {"small": ClassLoad(job_s={str(CAT): small_s}), "large": ClassLoad(job_s={str(CAT): 1.0})})
        for small_s in (2.9, 3.2, 3.5, 2.9, 2.5)
    ]

    assert ["small", "small", "large", "large", "small"] == said


def test_the_place_of_a_tier_comes_before_the_price() -> None:
    classes = {"dear": LARGE, "bulk": SMALL.model_copy(update={"tiers": (Tier.SPOT, Tier.STANDARD)})}

    homes, seen = Homes(classes=classes), dict.fromkeys(classes, ClassLoad())

    assert "bulk" == homes.of(queue(tier=Tier.SPOT), seen)
    assert "dear" == homes.of(queue(tier=Tier.STANDARD)._replace(tier=Tier.PRIORITY), seen)
    assert [] == list(homes.dearer(queue(tier=Tier.SPOT), seen))


def test_a_class_that_cannot_load_a_version_is_home_to_it_only_if_no_other_is() -> None:
    cannot = ClassLoad(unable=frozenset({str(CAT)}))

    assert "large" == Homes(classes=CLASSES).of(queue(), {"small": cannot, "large": ClassLoad()})
    assert "small" == Homes(classes=CLASSES).of(queue(), {"small": cannot, "large": cannot})


def test_the_reasons_tell_what_jobs_cost_where_they_are_done_and_elsewhere() -> None:
    policy = ScalingPolicy(classes=CLASSES)

    decision = decided(policy, Observation((queue(waiting=4),), loads()))

    assert "1000 jobs of cat@1 cost 0.417 here, 1.39 on small" in decision.classes["large"].reasons
    assert not [reason for reason in decision.classes["small"].reasons if "cost" in reason]


# --- what others leave to it -------------------------------------------------------------------------------


def test_work_is_left_to_its_home_while_that_keeps_up() -> None:
    seen = Observation((queue(CAT, waiting=4), queue(DOG, waiting=4)), loads())

    assert {"small": Manners(left=(CATS,)), "large": Manners(left=(DOGS,))} == manners(seen)


@pytest.mark.parametrize(("ready", "waiting"), [(0, 0), (1, 100), (4, 100)])
def test_a_home_that_cannot_keep_up_is_helped_in_spare_time(ready: int, waiting: int) -> None:
    # 100 cats are 50 s of work, to be done in 10 s.
    seen = Observation((queue(CAT, waiting=waiting),), loads(large=ready))

    assert Manners(spare=(CATS,)) == manners(seen)["small"]


def test_help_buys_no_workers_where_it_is_dearer() -> None:
    seen = Observation((queue(DOG, waiting=50),), loads(small=0, large=0))

    assert {"small": 5, "large": 0} == decided(ScalingPolicy(classes=CLASSES), seen).counts


def test_whoever_is_kept_anyway_is_counted_on_and_may_help() -> None:
    classes = {"small": SMALL, "large": LARGE.model_copy(update={"min_workers": 1})}
    seen = Observation((queue(DOG, waiting=5),), loads(small=0))

    assert {"small": 0, "large": 1} == decided(ScalingPolicy(classes=classes), seen).counts
    assert Manners(spare=(DOGS,)) == manners(seen, classes)["large"]


def test_a_class_that_never_ran_a_version_tries_it_once_in_its_spare_time() -> None:
    untried = load("large", ran=False)
    trying = untried._replace(holds=frozenset({DOGS}))
    failed = untried._replace(unable=frozenset({str(DOG)}))
    seen = Observation((queue(DOG, waiting=4),), loads())

    told = [
        manners(seen._replace(classes={**seen.classes, "large": large}))["large"] for large in (untried, trying, failed)
    ]

    assert [Manners(spare=(DOGS,)), Manners(left=(DOGS,)), FREE] == told


def test_classes_of_which_none_is_dearer_leave_each_other_nothing() -> None:
    twins = {"a": SMALL, "b": SMALL.model_copy(update={"price_per_hour": 1.05})}
    seen = Observation((queue(waiting=4),), dict.fromkeys(twins, load("small")))

    assert {"a": FREE, "b": FREE} == manners(seen, twins)


# --- tryouts -----------------------------------------------------------------------------------------------


def arriving(ref: ModelRef, per_s: float) -> QueueLoad:
    return QueueLoad(ref, Tier.STANDARD, 0, 0, per_s)


def untried(per_s: float, *, large: ClassLoad | None = None) -> Observation:
    nobody = ClassLoad(job_s=TIMES["small"], cold_start_s=5.0)
    return Observation((arriving(DOG, per_s),), {"small": load("small", 3), "large": large or nobody})


def test_a_class_without_workers_starts_one_to_see_what_a_version_costs_there() -> None:
    decision = decided(ScalingPolicy(classes=CLASSES), untried(2.0))

    assert 1 == decision.counts["large"]
    assert "1 is there to see what dog@1 costs here: it has never been run" in decision.classes["large"].reasons


def test_it_does_so_only_where_a_worker_is_busy_with_it_all_the_time_and_prices_are_set() -> None:
    free = {name: kind.model_copy(update={"price_per_hour": 0.0}) for name, kind in CLASSES.items()}

    assert 0 == decided(ScalingPolicy(classes=CLASSES), untried(0.9)).counts["large"]
    assert 0 == decided(ScalingPolicy(classes=free), untried(2.0)).counts["large"]


def test_a_tryout_ends_when_it_is_known_or_took_too_long_and_is_not_repeated() -> None:
    policy, nobody = ScalingPolicy(classes=CLASSES), ClassLoad(cold_start_s=5.0, job_s=TIMES["small"])
    decided(policy, untried(2.0))

    def wanted(large: ClassLoad, now: float) -> int:
        return policy.decide(untried(2.0, large=large), now).classes["large"].wanted

    assert [1, 1] == [wanted(nobody._replace(starting=1), 4.0), wanted(nobody._replace(ready=1), 8.0)]
    assert 0 == wanted(load("large"), 12.0)
    assert [1, 0, 0] == [wanted(nobody._replace(ready=1), now) for now in (599.0, 601.0, 9_999.0)]


# --- who does it -------------------------------------------------------------------------------------------


def test_a_slower_class_is_counted_on_for_as_much_as_it_can_do() -> None:
    source = Source("cat", Tier.STANDARD)
    classes = {"large": LARGE, "small": SMALL.model_copy(update={"min_workers": 2})}
    found = {
        "large": Demand(shares={source: 1.0}, slowness={source: {"large": 1.0, "small": 10.0}}),
        "small": Demand(),
    }

    poured = pour({"large": 1.5, "small": 0.0}, found, classes)

    assert {"large": 1.3, "small": 2.0} == pytest.approx(poured.workers)
    assert Poured(poured.workers, frozenset({(source, "small")})) == poured


# --- as workers read it ------------------------------------------------------------------------------------


def test_groups_are_divided_into_own_ones_and_those_for_spare_time() -> None:
    told = Manners(spare=("b",), left=("c",))

    assert (("a",), ("b",)) == told.divide(("a", "b", "c"))
    assert (("a", "b"), ()) == FREE.divide(("a", "b"))


def test_what_is_written_down_is_read_by_those_whom_it_concerns() -> None:
    raw = write_manners({"small": Manners(left=(CATS,)), "large": FREE})

    assert [Manners(left=(CATS,)), FREE] == [read_manners(raw, name) for name in ("small", "large")]
    assert b"" == write_manners({"small": FREE})


@pytest.mark.parametrize("raw", [None, b"", b"nonsense", b'{"small":{"left":3}}', b"[1]"])
def test_without_a_word_or_with_garbage_everything_is_ones_own(raw: bytes | None) -> None:
    assert FREE == read_manners(raw, "small")
