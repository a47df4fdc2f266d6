"""Claims as planned: of all tiers or of the urgent one, and the bell only after a claim that left nothing."""

from collections.abc import Iterator

import pytest

from headrace.store_work import ClaimSize
from headrace.tiers import Tier
from tests.integration.script_cell import GROUPS, Cell
from workers.bell import Bell
from workers.claim_policy import NOTHING, ClaimPlan
from workers.claimer import Claimer, ClaimTerms, Sent
from workers.loop import SelectorLoop
from workers.wire import Wire

ALL = ClaimPlan(ClaimSize(10, 10, 10**6))
URGENT = ALL._replace(is_urgent=True)
IDLE = ALL._replace(is_idle=True)


class Rig:
    """A claimer that follows a list of plans, with what it claimed."""

    def __init__(self, *, url: str, cell: Cell) -> None:
        self.loop = SelectorLoop()
        self.wires = [Wire(url=url, on_lost=lambda _: None) for _ in range(2)]
        for wire in self.wires:
            wire.connect()
            wire.attach(self.loop)
        self.bell = Bell(wire=self.wires[1], keys=cell.keys, worker="w1", on_ring=lambda: None)
        self.plans: list[ClaimPlan] = []
        self.answers: list[tuple[list[str], Sent]] = []
        self.claimer = Claimer(
            wire=self.wires[0],
            bell=self.bell,
            store=cell.store,
            terms=ClaimTerms(worker="w1", lease_ms=60_000),
            plan=lambda: self.plans.pop(0) if self.plans else NOTHING,
            on_jobs=lambda jobs, sent: self.answers.append(([job.member for job, _ in jobs], sent)),
        )
        self.claimer.attach(self.loop)
        self.claimer.serve(GROUPS)

    def carry_out(self, *plans: ClaimPlan) -> list[list[str]]:
        """Answers the members that each of the planned claims brought."""
        self.plans += plans
        self.claimer.look()
        assert self.loop.run_until(lambda: len(self.answers) == len(plans), limit_s=50)
        return [members for members, _ in self.answers]


@pytest.fixture
def rig(redis_url: str, cell: Cell) -> Iterator[Rig]:
    rig = Rig(url=redis_url, cell=cell)
    yield rig
    for wire in rig.wires:
        wire.close()
    rig.loop.close()


def test_an_urgent_claim_takes_priority_jobs_only_and_does_not_park(rig: Rig, cell: Cell) -> None:
    cell.submit("slow", tier=Tier.STANDARD)
    cell.submit("fast", tier=Tier.PRIORITY)

    assert [["default/fast"]] == rig.carry_out(URGENT)
    assert not rig.bell.is_parked


def test_after_an_urgent_claim_that_found_nothing_the_next_plan_is_carried_out(rig: Rig, cell: Cell) -> None:
    cell.submit("slow", tier=Tier.STANDARD)

    assert [[], ["default/slow"]] == rig.carry_out(URGENT, ALL)


def test_a_claim_that_left_nothing_parks_at_the_bell(rig: Rig, cell: Cell) -> None:
    cell.submit("last")

    assert [["default/last"]] == rig.carry_out(ALL)
    assert rig.bell.is_parked


def test_a_claim_that_left_something_does_not_park(rig: Rig, cell: Cell) -> None:
    cell.submit("first")
    cell.submit("second")

    assert [["default/first"]] == rig.carry_out(ALL._replace(size=ClaimSize(1, 1, 10**6)))
    assert not rig.bell.is_parked


def test_a_worker_of_other_tiers_looks_for_nothing_urgent(rig: Rig, cell: Cell) -> None:
    cell.submit("slow", tier=Tier.SPOT)
    rig.claimer.serve(GROUPS[2:])

    rig.plans = [URGENT]
    rig.claimer.look()

    assert (False, 0) == (rig.claimer.is_claiming, rig.claimer.claims)


def test_a_claim_says_when_it_was_planned_if_that_was_before_it_was_sent(rig: Rig, cell: Cell) -> None:
    cell.submit("j1")

    rig.plans = [ALL._replace(wait_s=0.05), ALL]
    rig.claimer.look()
    assert rig.loop.run_until(lambda: bool(rig.answers), limit_s=50)

    [(members, sent)] = rig.answers
    assert (["default/j1"], True) == (members, sent.planned_at < sent.at)


# --- a claim that lies ready -------------------------------------------------------------------------------------


def park_with_a_claim_ready(rig: Rig) -> None:
    rig.carry_out(ALL)
    rig.plans = [IDLE]
    rig.claimer.look()
    assert (True, True) == (rig.bell.is_parked, rig.claimer.is_claiming)
    rig.answers.clear()


def test_while_the_worker_has_nothing_a_claim_lies_ready_and_whoever_rings_sets_it_off(rig: Rig, cell: Cell) -> None:
    park_with_a_claim_ready(rig)

    cell.submit("late")
    assert rig.loop.run_until(lambda: bool(rig.answers), limit_s=50)

    [(members, sent)] = rig.answers
    assert (["default/late"], True) == (members, sent.is_ahead)
    assert (True, False) == (rig.bell.is_parked, rig.claimer.is_claiming)


def test_jobs_for_a_paused_queue_set_off_one_empty_claim_and_come_when_it_goes_on(rig: Rig, cell: Cell) -> None:
    cell.pause()
    park_with_a_claim_ready(rig)

    for number in range(5):
        cell.submit(f"j{number}")
    assert rig.loop.run_until(lambda: bool(rig.answers), limit_s=50)
    rig.plans = [IDLE] * 9
    rig.claimer.look()
    cell.submit("j5")

    assert ([[]], 2) == ([members for members, _ in rig.answers], rig.claimer.claims)
    assert (True, True) == (rig.bell.is_parked, rig.claimer.is_claiming)
    cell.resume()
    assert rig.loop.run_until(lambda: len(rig.answers) == 2, limit_s=50)
    assert [f"default/j{number}" for number in range(6)] == rig.answers[1][0]


def test_no_claim_lies_ready_while_the_worker_has_something(rig: Rig) -> None:
    rig.carry_out(ALL)

    rig.plans = [ALL]
    rig.claimer.look()

    assert (True, False) == (rig.bell.is_parked, rig.claimer.is_claiming)


def test_what_lies_ready_when_the_worker_stops_is_answered_before_the_stop_is_over(rig: Rig) -> None:
    park_with_a_claim_ready(rig)

    rig.claimer.stop()
    assert rig.loop.run_until(lambda: not rig.claimer.is_claiming, limit_s=50)

    assert ([], False) == (rig.answers[0][0], rig.bell.is_parked)


def test_what_lay_ready_goes_with_the_connection_and_is_laid_anew(rig: Rig, cell: Cell) -> None:
    park_with_a_claim_ready(rig)

    rig.wires[1].close()
    rig.bell.lost()
    rig.wires[1].connect()
    cell.submit("late")

    assert [["default/late"]] == rig.carry_out(ALL)


def test_a_bell_that_cannot_be_read_is_followed_by_nothing(rig: Rig, cell: Cell) -> None:
    rig.carry_out(ALL)
    rig.plans = [IDLE] * 9
    cell.redis.set(cell.keys.bell(GROUPS[0]), "noise")

    rig.claimer.look()
    cell.run(rig.bell.wake_op())
    is_endless = rig.loop.run_until(lambda: not rig.plans, limit_s=0.5)

    assert (False, False) == (is_endless, rig.bell.is_parked)


# --- what is for spare time ----------------------------------------------------------------------------------


def test_what_is_for_spare_time_is_claimed_when_nothing_else_waits(rig: Rig, cell: Cell) -> None:
    rig.claimer.serve(GROUPS[:1], GROUPS[1:])
    cell.submit("guest", tier=Tier.STANDARD)
    cell.submit("own", tier=Tier.PRIORITY)

    assert [["default/own"], ["default/guest"]] == rig.carry_out(ALL, ALL)


def test_a_worker_with_nothing_of_its_own_claims_only_what_is_for_spare_time(rig: Rig, cell: Cell) -> None:
    rig.claimer.serve((), GROUPS[1:])
    cell.submit("other", tier=Tier.PRIORITY)
    cell.submit("guest", tier=Tier.STANDARD)

    assert [["default/guest"]] == rig.carry_out(ALL)


@pytest.mark.parametrize("tier", [Tier.PRIORITY, Tier.STANDARD])
def test_a_parked_worker_hears_both_bells(rig: Rig, cell: Cell, tier: Tier) -> None:
    rig.claimer.serve(GROUPS[:1], GROUPS[1:])
    rig.carry_out(ALL)
    assert rig.bell.is_parked

    cell.submit("late", tier=tier)

    assert rig.loop.run_until(lambda: not rig.bell.is_parked, limit_s=50)
    rig.answers.clear()
    assert [["default/late"]] == rig.carry_out(ALL)


def test_what_is_served_from_now_on_is_looked_at_before_the_bell(rig: Rig, cell: Cell) -> None:
    cell.submit("left", tier=Tier.STANDARD)
    rig.claimer.serve(GROUPS[:1])
    rig.plans = [ALL, ALL]

    rig.claimer.look()
    rig.claimer.serve(GROUPS[:1], GROUPS[1:])

    assert rig.loop.run_until(lambda: len(rig.answers) == 1, limit_s=50)
    assert ["default/left"] == rig.answers[0][0]
