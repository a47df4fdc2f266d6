"""Bench: scenarios are stopped at each call of their script, sent again and brought to an end."""

from collections.abc import Callable
from dataclasses import dataclass

from headrace.keys import Keys
from headrace.redis_op import Script
from headrace.sync_redis import SyncRedis
from tests.integration.script_cell import Cell
from tests.integration.script_faults import stopped
from tests.integration.script_ledger import Ledger

Act = Callable[[], object]
Scenario = Callable[[Ledger], Act]

#: No scenario makes more calls than this.
MAX_CALLS = 150


@dataclass(frozen=True)
class Bench:
    """Where scenarios are run: a server and a cell name, for as many cells as it takes.

    Args:
        connection: the server.
        cell: what the names of the cells begin with.
        mistake: put into the scripts, to see whether it is found.
    """

    connection: SyncRedis
    cell: str
    mistake: Callable[[Script], Script] = lambda script: script

    def ledger(self, name: str) -> Ledger:
        """A ledger of an empty cell."""
        return Ledger(Cell(connection=self.connection, keys=Keys(cell=self.cell + name), rewrite=self.mistake))

    def stop_everywhere(self, script: str, scenario: Scenario) -> int:
        """Run a scenario once for each call of the script, stopped there, sent again, and brought to an end.

        Returns:
            How many calls the script made.

        Raises:
            Violation: if a promise did not hold.
        """
        for at in range(1, MAX_CALLS):
            ledger = self.ledger(f"x{at}")
            act = scenario(ledger)
            ledger.cell.rewrite = lambda text, at=at: self._stopped(text, script, at)
            act()
            ledger.cell.rewrite = self.mistake
            if ledger.was_stopped:
                act()
                ledger.drain()
            ledger.cell.clear()
            if not ledger.was_stopped:
                return at - 1
        raise AssertionError(f"{script} makes more than {MAX_CALLS} calls")

    def _stopped(self, text: Script, script: str, at: int) -> Script:
        text = self.mistake(text)
        return stopped(text, at=at) if text.name == script else text
