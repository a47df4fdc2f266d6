"""Scenarios of the scripts that couriers call: deliveries in the states that they meet."""

from headrace.webhooks import DeliveryState, delivery_id_of
from tests.integration.script_bench import Act
from tests.integration.script_ledger import WITH_STARTS, Ledger


def claiming_progress(ledger: Ledger) -> Act:
    ledger.submit("a", webhook_letters=WITH_STARTS)
    ledger.progress(ledger.take(start=True))
    return ledger.claim_deliveries


def claiming_deliveries(ledger: Ledger) -> Act:
    ledger.submit("told")
    ledger.commit(ledger.take(start=True))
    ledger.settle(ledger.claim_deliveries(), DeliveryState.DELIVERED)
    ledger.submit("done")
    ledger.submit("canceled")
    ledger.commit(ledger.take(jobs=1, start=True))
    ledger.cancel("default/canceled")
    ledger.submit("waits")
    stale = [*map(delivery_id_of, ("default/told", "default/waits", "default/none")), "not a delivery"]
    ledger.cell.redis.zadd(ledger.cell.keys.outbox, dict.fromkeys(stale, 1))
    return ledger.claim_deliveries


def settling_deliveries(ledger: Ledger) -> Act:
    for job_id in ("delivered", "again", "untried"):
        ledger.submit(job_id)
    ledger.commit(ledger.take(start=True))
    first, second, third = ledger.claim_deliveries()

    def settle() -> None:
        ledger.settle([first], DeliveryState.DELIVERED)
        ledger.settle([second], DeliveryState.PENDING)
        ledger.give_back([third])

    return settle


def claiming_early_events(ledger: Ledger) -> Act:
    for job_id in ("ended", "runs"):
        ledger.submit(job_id, webhook_letters=WITH_STARTS)
    ledger.take(jobs=1, start=True)
    ledger.settle(ledger.claim_deliveries(), DeliveryState.DELIVERED)
    ledger.cell.lapse_leases()
    ledger.reap()
    ledger.commit(ledger.take(jobs=1, start=True))
    ledger.take(start=True)
    keys, redis = ledger.cell.keys, ledger.cell.redis
    uncounted = delivery_id_of("default/runs", 2)
    redis.hset(keys.delivery(uncounted), mapping={"k": "job.started", "e": 1, "n": 1})
    redis.zadd(
        keys.outbox, dict.fromkeys([delivery_id_of("default/ended"), uncounted, delivery_id_of("default/runs", 9)], 1)
    )
    return ledger.claim_deliveries


def settling_early_events(ledger: Ledger) -> Act:
    for job_id in ("ended", "runs"):
        ledger.submit(job_id, webhook_letters=WITH_STARTS)
    ledger.commit(ledger.take(jobs=1, start=True))
    ledger.take(start=True)
    due = ledger.claim_deliveries()
    return lambda: ledger.settle(due, DeliveryState.DELIVERED)


def replaying_early_events(ledger: Ledger) -> Act:
    for job_id in ("ended", "runs"):
        ledger.submit(job_id, webhook_letters=WITH_STARTS)
    ledger.commit(ledger.take(jobs=1, start=True))
    ledger.take(start=True)
    ledger.settle(ledger.claim_deliveries(), DeliveryState.DELIVERED)
    return ledger.replay


def replaying(ledger: Ledger) -> Act:
    for job_id in ("delivered", "failed"):
        ledger.submit(job_id)
    ledger.commit(ledger.take(start=True))
    first, second = ledger.claim_deliveries()
    ledger.settle([first], DeliveryState.DELIVERED)
    ledger.settle([second], DeliveryState.FAILED)
    ledger.submit("untried")
    ledger.commit(ledger.take(start=True))
    ledger.submit("waits")
    return ledger.replay
