"""What a worker whose models do not all fit sees of jobs that wait for others."""

from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from headrace.tiers import Tier
from tests.integration.script_cell import ALL_GROUPS, OUTGROWN, SPOT, Cell
from workers.backlog_look import BacklogLook
from workers.loop import SelectorLoop
from workers.model_choice import Backlog
from workers.residency import Residency
from workers.wire import Wire


class Rig:
    """A look over a wire of its own, and what came of it."""

    def __init__(self, *, url: str, cell: Cell) -> None:
        self.loop, self.wire = SelectorLoop(), Wire(url=url, on_lost=lambda _: None)
        self.wire.connect()
        self.wire.attach(self.loop)
        self.seen: list[Mapping[str, Sequence[Backlog]]] = []
        residency = SimpleNamespace(budget_bytes=1, saw=self.seen.append, ask=lambda _: None)
        self._look = BacklogLook(wire=self.wire, store=cell.store, residency=cast("Residency", cast("Any", residency)))

    def waiting(self) -> dict[Tier, int]:
        """How many jobs of the model wait that are worth a load, by tier."""
        self.seen.clear()
        self._look.look(ALL_GROUPS)
        assert self.loop.run_until(lambda: bool(self.seen), limit_s=50)
        jobs = dict.fromkeys(Tier, 0)
        for backlog in self.seen[0].get("m@1", ()):
            jobs[backlog.tier] += backlog.jobs
        return jobs


@pytest.fixture
def rig(redis_url: str, cell: Cell) -> Iterator[Rig]:
    rig = Rig(url=redis_url, cell=cell)
    yield rig
    rig.wire.close()
    rig.loop.close()


def test_what_waits_in_a_queue_that_is_paused_is_worth_no_load_until_it_goes_on(rig: Rig, cell: Cell) -> None:
    cell.submit("large")
    cell.run(cell.store.release(cell.take(), outgrown_bytes=OUTGROWN))
    for job_id, tier in (("a", Tier.STANDARD), ("b", Tier.SPOT)):
        cell.submit(job_id, tier=tier)

    both = rig.waiting()
    cell.pause()
    one = rig.waiting()
    cell.pause(SPOT)
    none = rig.waiting()
    cell.resume()

    assert {Tier.PRIORITY: 0, Tier.STANDARD: 2, Tier.SPOT: 1} == both
    assert {Tier.PRIORITY: 0, Tier.STANDARD: 0, Tier.SPOT: 1} == one
    assert dict.fromkeys(Tier, 0) == none
    assert {Tier.PRIORITY: 0, Tier.STANDARD: 2, Tier.SPOT: 0} == rig.waiting()
