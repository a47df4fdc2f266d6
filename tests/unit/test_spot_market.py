"""What the scheduler does about machines that are taken away, or not given."""

import pytest

from headrace.tiers import Tier
from headrace.worker_class import WorkerClass
from scheduler.demand import Demand
from scheduler.observation import ClassLoad, Observation
from scheduler.policy import ClassDecision, Decision
from scheduler.spot_market import EXCLUDED_S, GRACE_S, STABLE_S, SpotMarket, cost_per_hour

BULK = (Tier.SPOT, Tier.STANDARD)
CLASSES = {
    "on-demand": WorkerClass(max_workers=20, price_per_hour=1.0),
    "dear": WorkerClass(max_workers=20, price_per_hour=3.0),
    "gpu": WorkerClass(max_workers=20, price_per_hour=0.1, device="cuda"),
    "urgent": WorkerClass(max_workers=20, price_per_hour=0.1, tiers=(Tier.PRIORITY,)),
    "spot": WorkerClass(max_workers=20, price_per_hour=0.35, tiers=BULK, is_spot=True),
}
ZONED = {
    **CLASSES,
    "spot": WorkerClass(max_workers=20, price_per_hour=0.35, tiers=BULK, is_spot=True, zone="a"),
    "spot-b": WorkerClass(max_workers=20, price_per_hour=0.35, tiers=BULK, is_spot=True, zone="b"),
}
TICK_S = 10.0


class Story:
    """One tick after another; `spot` and the others say how many workers are ready."""

    def __init__(self, classes: dict[str, WorkerClass]) -> None:
        self._classes = classes
        self.market = SpotMarket(classes=classes)
        self.now = 0.0
        self._desired: dict[str, int] = {}

    def tick(self, *, wanted: dict[str, int], ready: dict[str, int], ticks: int = 1) -> dict[str, int]:
        """Answers the numbers after so many ticks."""
        for _ in range(ticks):
            loads = {
                name: ClassLoad(ready=ready.get(name, 0), desired=self._desired.get(name), cold_start_s=30.0)
                for name in self._classes
            }
            decided = {
                name: ClassDecision(wanted.get(name, 0), wanted.get(name, 0), Demand(), 0.0, "level", ("load",))
                for name in self._classes
            }
            self.last = self.market.adjust(Decision(decided), Observation((), loads), self.now)
            self._desired = self.last.counts
            self.now += TICK_S
        return {name: count for name, count in self.last.counts.items() if count}


@pytest.fixture
def story() -> Story:
    return Story(CLASSES)


@pytest.fixture
def zones() -> Story:
    return Story(ZONED)


SHORT_TICKS = int(GRACE_S / TICK_S) + 1
LONG_TICKS = int(STABLE_S / TICK_S) + 1


def test_as_long_as_there_are_enough_nothing_is_changed(story: Story) -> None:
    counts = story.tick(wanted={"spot": 4, "on-demand": 2}, ready={"spot": 4, "on-demand": 2}, ticks=100)

    assert {"spot": 4, "on-demand": 2} == counts


def test_where_no_class_is_spot_decisions_stay_as_they_are() -> None:
    market = SpotMarket(classes={"on-demand": CLASSES["on-demand"]})
    decision = Decision({"on-demand": ClassDecision(3, 3, Demand(), 0.0, "level", ())})

    assert decision is market.adjust(decision, Observation((), {"on-demand": ClassLoad()}), 0.0)


def test_a_shortage_is_waited_out_for_a_grace(story: Story) -> None:
    counts = story.tick(wanted={"spot": 4}, ready={"spot": 1}, ticks=SHORT_TICKS - 1)

    assert {"spot": 4} == counts


def test_after_the_grace_the_cheapest_class_that_serves_the_same_stands_in(story: Story) -> None:
    counts = story.tick(wanted={"spot": 4}, ready={"spot": 1}, ticks=SHORT_TICKS)

    assert {"spot": 4, "on-demand": 3} == counts
    assert "3 stand in for spot, of which 1 of 4 are ready" in story.last.classes["on-demand"].reasons


def test_all_of_spot_may_be_gone(story: Story) -> None:
    story.tick(wanted={"spot": 4, "on-demand": 2}, ready={"spot": 4, "on-demand": 2}, ticks=10)

    counts = story.tick(wanted={"spot": 4, "on-demand": 2}, ready={"spot": 0, "on-demand": 2}, ticks=SHORT_TICKS)

    assert 2 + 4 == counts["on-demand"]


def test_who_stands_in_never_passes_the_bound_of_its_class(story: Story) -> None:
    counts = story.tick(wanted={"spot": 15, "on-demand": 18}, ready={"on-demand": 18}, ticks=SHORT_TICKS)

    assert 20 == counts["on-demand"]


def test_they_stay_until_spot_has_been_stable_for_long(story: Story) -> None:
    story.tick(wanted={"spot": 4}, ready={"spot": 0}, ticks=SHORT_TICKS)

    soon = story.tick(wanted={"spot": 4}, ready={"spot": 4, "on-demand": 4}, ticks=LONG_TICKS - 1)
    later = story.tick(wanted={"spot": 4}, ready={"spot": 4, "on-demand": 4}, ticks=1)

    assert (4, 0) == (soon["on-demand"], later.get("on-demand", 0))


def test_those_go_that_have_not_been_missing_for_long(story: Story) -> None:
    story.tick(wanted={"spot": 4}, ready={"spot": 0}, ticks=SHORT_TICKS)

    soon = story.tick(wanted={"spot": 4}, ready={"spot": 3, "on-demand": 4}, ticks=LONG_TICKS - 1)
    later = story.tick(wanted={"spot": 4}, ready={"spot": 3, "on-demand": 4}, ticks=1)

    assert (4, 1) == (soon["on-demand"], later["on-demand"])


def test_who_stands_in_is_counted_where_the_work_is_when_the_load_is_weighed(story: Story) -> None:
    story.tick(wanted={"spot": 4, "on-demand": 2}, ready={"spot": 1, "on-demand": 2}, ticks=SHORT_TICKS)
    loads = {
        "spot": ClassLoad(ready=1, desired=4),
        "on-demand": ClassLoad(ready=4, starting=1, desired=5),
    }

    lent = story.market.lend(Observation((), loads)).classes

    # Two of its three are ready: the two that are wanted for its own work come first.
    assert (3, 1, 7) == (lent["spot"].ready, lent["spot"].starting, lent["spot"].desired)
    assert (2, 0, 2) == (lent["on-demand"].ready, lent["on-demand"].starting, lent["on-demand"].desired)


def test_they_go_with_the_load(story: Story) -> None:
    story.tick(wanted={"spot": 4}, ready={"spot": 0}, ticks=SHORT_TICKS)

    fewer = story.tick(wanted={"spot": 1}, ready={"on-demand": 4})
    none = story.tick(wanted={"spot": 0}, ready={"on-demand": 4})

    assert 1 == fewer["on-demand"]
    assert {} == none


def test_interruptions_are_answered_with_more_than_is_needed(story: Story) -> None:
    ready = 10
    for hour in range(30):
        story.tick(wanted={"spot": 10}, ready={"spot": ready}, ticks=6)
        story.tick(wanted={"spot": 10}, ready={"spot": ready - hour % 2}, ticks=1)

    assert story.tick(wanted={"spot": 10}, ready={"spot": 12})["spot"] > 10
    assert any("may be interrupted" in reason for reason in story.last.classes["spot"].reasons)


def test_workers_that_were_drained_are_no_interruption(story: Story) -> None:
    for _ in range(20):
        story.tick(wanted={"spot": 10}, ready={"spot": 10}, ticks=3)
        story.tick(wanted={"spot": 2}, ready={"spot": 10})
        story.tick(wanted={"spot": 2}, ready={"spot": 2}, ticks=3)

    assert {"spot": 2} == story.tick(wanted={"spot": 2}, ready={"spot": 2})


def test_a_zone_that_interrupted_twice_is_left_alone_and_another_asked(zones: Story) -> None:
    zones.tick(wanted={"spot": 4}, ready={"spot": 4})

    counts = zones.tick(wanted={"spot": 4}, ready={"spot": 2})

    assert (2, 2) == (counts["spot"], counts["spot-b"])
    assert "2 for spot, whose zone is left alone" in zones.last.classes["spot-b"].reasons


def test_a_zone_is_asked_again_after_a_while(zones: Story) -> None:
    zones.tick(wanted={"spot": 4}, ready={"spot": 4})
    zones.tick(wanted={"spot": 4}, ready={"spot": 2})
    zones.now += EXCLUDED_S

    counts = zones.tick(wanted={"spot": 4}, ready={"spot": 2})

    assert 4 == counts["spot"]


def test_what_a_zone_was_not_asked_for_it_has_not_refused(zones: Story) -> None:
    zones.tick(wanted={"spot": 4}, ready={"spot": 4})
    zones.tick(wanted={"spot": 4}, ready={"spot": 2}, ticks=int(EXCLUDED_S / TICK_S) + 1)

    counts = zones.tick(wanted={"spot": 4}, ready={"spot": 2})

    assert 4 == counts["spot"]


def test_a_zone_that_is_left_alone_is_not_asked_for_more_than_is_needed_either(zones: Story) -> None:
    for lost in (0, 1) * 15:
        zones.tick(wanted={"spot": 10}, ready={"spot": 10}, ticks=6)
        zones.tick(wanted={"spot": 10}, ready={"spot": 10 - lost}, ticks=1)

    counts = zones.tick(wanted={"spot": 10}, ready={"spot": 10})
    zones.now += EXCLUDED_S
    later = zones.tick(wanted={"spot": 10}, ready={"spot": 10})

    assert 10 == counts["spot"]
    assert later["spot"] > 10


def test_when_every_zone_is_left_alone_others_stand_in_without_a_grace(zones: Story) -> None:
    zones.tick(wanted={"spot": 4, "spot-b": 2}, ready={"spot": 4, "spot-b": 2})

    counts = zones.tick(wanted={"spot": 4, "spot-b": 2}, ready={"spot": 2, "spot-b": 0})

    assert (2, 0) == (counts["spot"], counts.get("spot-b", 0))
    assert 4 == counts["on-demand"]


def test_a_new_leader_begins_anew(story: Story) -> None:
    story.tick(wanted={"spot": 4}, ready={"spot": 0}, ticks=SHORT_TICKS)

    story.market.forget()

    assert {"spot": 4} == story.tick(wanted={"spot": 4}, ready={"spot": 0})


def test_what_it_costs_is_the_sum_of_prices(story: Story) -> None:
    story.tick(wanted={"spot": 4, "on-demand": 2}, ready={"spot": 4, "on-demand": 2})

    assert 4 * 0.35 + 2 * 1.0 == pytest.approx(cost_per_hour(story.last.classes, CLASSES))
