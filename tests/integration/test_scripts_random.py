"""Random histories: any operations in any order, some stopped half-way, keep all promises."""

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from headrace.jobs import Lease
from headrace.keys import Keys
from headrace.store_submissions import Amendment
from headrace.sync_redis import SyncRedis
from headrace.tiers import Tier
from tests.integration.script_bench import Bench
from tests.integration.script_cell import GROUPS
from tests.integration.script_faults import stopped
from tests.integration.script_ledger import HOOK, Ledger

_VERBS = (
    *("submit", "submit", "take", "take_and_start", "take_and_start", "start", "commit", "commit", "fail"),
    *("fail_with_backoff", "release", "renew", "cancel", "reap", "promote", "expire", "sweep", "amend", "erase"),
    *("hasten", "progress", "pause", "resume", "resume"),
)


class Step(NamedTuple):
    """One operation of a history."""

    verb: str
    #: Which job, or from which lease on.
    pick: int
    #: How many jobs or leases.
    size: int
    #: The call at which the script is stopped; 0 lets it run.
    stop_at: int
    #: Sent again, as a client does that got no answer.
    is_repeated: bool


STEPS = st.builds(
    Step,
    verb=st.sampled_from(_VERBS),
    pick=st.integers(0, 7),
    size=st.integers(1, 3),
    stop_at=st.sampled_from([0, 0, 0, *range(2, 20)]),
    is_repeated=st.booleans(),
)


class History:
    """Carries steps out; remembers every lease ever given, so that silent workers may come back."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._leases: list[Lease] = []
        self._submitted = 0
        for pick in range(4):
            self._submit(pick)

    def take_step(self, step: Step) -> None:
        """Carry one step out, perhaps stopped, perhaps twice."""
        cell = self.ledger.cell
        if step.stop_at:
            cell.rewrite = lambda script: stopped(script, at=step.stop_at)
        self._act(step)
        cell.rewrite = None
        if step.is_repeated:
            self._act(step)

    def _act(self, step: Step) -> None:
        ledger, first = self.ledger, step.pick % max(1, len(self._leases))
        leases = self._leases[first : first + step.size]
        match step.verb:
            case "submit":
                self._submit(step.pick)
            case "take" | "take_and_start":
                self._leases[:0] = ledger.take(jobs=step.size, start=step.verb == "take_and_start")
            case "start" | "progress" | "commit" | "fail" | "release" | "renew":
                self._use(step.verb, leases)
            case "fail_with_backoff":
                ledger.fail(leases, backoff_ms=30_000)
            case "cancel":
                ledger.cancel(f"default/j{step.pick % self._submitted}")
            case "erase":
                ledger.erase(f"default/j{step.pick % self._submitted}")
            case "pause" | "resume":
                getattr(ledger, step.verb)(GROUPS[step.size - 1])
            case "amend":
                url = (None, "", f"{HOOK}/new")[step.pick % 3]
                due = 0 if step.is_repeated else None
                change = Amendment(list(Tier)[step.size - 1], due, b'{"a":"b"}', webhook_url=url)
                ledger.amend(f"default/j{step.pick % self._submitted}", change)
            case "expire":
                ledger.expire(f"default/j{step.pick % self._submitted}")
            case _:
                getattr(ledger, step.verb)()

    def _use(self, verb: str, leases: Sequence[Lease]) -> None:
        if leases:
            getattr(self.ledger, verb)(leases)

    def _submit(self, pick: int) -> None:
        soon = self.ledger.cell.now_ms() + 60_000
        options = {"tier": list(Tier)[pick % 3], "max_attempts": 1 + pick % 2}
        if pick % 4 == 0:
            options |= {"webhook_url": "", "seed": pick}
        if pick % 5 < 3:
            options |= {"fairness_key": "ab"[pick % 2]}
        if pick % 4 == 1:
            options |= {"deadline_ms": soon, "retry_on": ()}
        if pick % 4 == 2:
            options |= {"not_before_ms": soon, "start_by_ms": soon + 1000}
        if pick % 4 == 3:
            options |= {"idempotency_key": f"k{pick}", "request_hash": "h", "tenant": "other"}
        self.ledger.submit(f"j{self._submitted}", **options)
        self._submitted += 1


def test_any_history_keeps_the_promises(connection: SyncRedis, keys: Keys) -> None:
    cells = iter(range(10_000))

    @settings(
        max_examples=50,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # a history is short enough to read, and shrinking one takes minutes
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.lists(STEPS, min_size=20, max_size=35))
    def run(steps: list[Step]) -> None:
        history = History(Bench(connection, keys.cell).ledger(f"h{next(cells)}"))
        for step in steps:
            history.take_step(step)
        history.ledger.drain()

    run()
