"""The table of transitions is exact: each move in it is made by a script, and the scripts make no other."""

from headrace.jobs import TRANSITIONS
from headrace.keys import Keys
from headrace.sync_redis import SyncRedis
from tests.integration.script_bench import Bench
from tests.integration.script_ledger import Ledger


def every_move(ledger: Ledger) -> None:
    """Take jobs through every move there is."""
    soon = ledger.cell.now_ms() + 60_000
    ledger.submit("queued-succeeded")
    ledger.commit(ledger.take())
    ledger.submit("queued-failed", max_attempts=1)
    ledger.fail(ledger.take())
    ledger.submit("queued-canceled")
    ledger.cancel("default/queued-canceled")
    ledger.submit("queued-expired", deadline_ms=soon)
    ledger.expire("default/queued-expired")
    ledger.submit("running-queued-running-succeeded")
    ledger.release(ledger.take(start=True))
    ledger.commit(ledger.take(start=True))
    ledger.submit("running-failed", max_attempts=1)
    ledger.fail(ledger.take(start=True))
    ledger.submit("running-canceling-canceled")
    leases = ledger.take(start=True)
    ledger.cancel("default/running-canceling-canceled")
    ledger.commit(leases)
    ledger.submit("running-expired", deadline_ms=soon)
    ledger.take(start=True)
    ledger.expire("default/running-expired")


def test_the_scripts_make_every_move_of_the_table_and_no_other(connection: SyncRedis, keys: Keys) -> None:
    ledger = Bench(connection, keys.cell).ledger("")

    every_move(ledger)

    assert {(old, new) for old, news in TRANSITIONS.items() for new in news} == ledger.moves
