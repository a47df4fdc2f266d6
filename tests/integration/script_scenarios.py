"""Scenarios: jobs in the states that a script meets, and the call of the script."""

from typing import Any

from headrace.dedupe import Scope
from headrace.jobs import Cause, Reason
from headrace.store_submissions import Amendment
from headrace.tenant_store import TenantStore
from headrace.tiers import Tier
from headrace.webhooks import DeliveryState
from tests.integration.script_bench import Act, Scenario
from tests.integration.script_cell import OUTGROWN, REF, SPOT, STANDARD
from tests.integration.script_delivery_scenarios import (
    claiming_deliveries,
    claiming_early_events,
    claiming_progress,
    replaying,
    replaying_early_events,
    settling_deliveries,
    settling_early_events,
)
from tests.integration.script_ledger import HOOK, WITH_STARTS, Ledger


def submitting(ledger: Ledger) -> Act:
    ledger.submit("earlier")
    soon = ledger.cell.now_ms() + 60_000
    return lambda: ledger.submit("new", idempotency_key="k", request_hash="h", deadline_ms=soon, start_by_ms=soon - 1)


def submitting_the_first(ledger: Ledger) -> Act:
    return lambda: ledger.submit("new", idempotency_key="k", request_hash="h")


def submitting_what_is_plain(ledger: Ledger) -> Act:
    ledger.submit("earlier", webhook_url="")
    jobs: list[tuple[str, dict[str, Any]]] = [("a", {}), ("b", {"tier": Tier.SPOT}), ("c", {})]
    return lambda: ledger.submit_many([(job_id, {"webhook_url": "", **fields}) for job_id, fields in jobs])


def submitting_in_turns(ledger: Ledger) -> Act:
    for job_id, key in (("a1", "a"), ("b1", "b"), ("a2", "a")):
        ledger.submit(job_id, fairness_key=key)
    ledger.take(jobs=1)
    keys = {"b2": "b", "c1": "c", "a3": "a", "plain": "", "b3": "b"}
    return lambda: ledger.submit_many([(job_id, {"fairness_key": key}) for job_id, key in keys.items()])


def amending_in_turns(ledger: Ledger) -> Act:
    for job_id, tier in (("a1", Tier.SPOT), ("a2", Tier.SPOT), ("b1", Tier.STANDARD)):
        ledger.submit(job_id, fairness_key=job_id[0], tier=tier)
    return lambda: ledger.amend("default/b1", Amendment(tier=Tier.SPOT))


def submitting_under_another_id(ledger: Ledger) -> Act:
    ids = iter(("new", "newer", "newest"))
    soon = ledger.cell.now_ms() + 60_000
    return lambda: ledger.submit(next(ids), idempotency_key="k", request_hash="h", deadline_ms=soon)


def submitting_for_later(ledger: Ledger) -> Act:
    later = ledger.cell.now_ms() + 60_000
    return lambda: ledger.submit("new", idempotency_key="k", request_hash="h", not_before_ms=later)


def submitting_under_a_name(ledger: Ledger) -> Act:
    return lambda: ledger.submit("mine", is_named=True, request_hash="h", metadata=b'{"a":"b"}')


def submitting_once_at_a_time(ledger: Ledger) -> Act:
    ledger.submit("done", dedupe_key="k")
    ledger.commit(ledger.take(start=True))
    ids = iter(("new", "newer", "newest"))
    return lambda: ledger.submit(next(ids), dedupe_key="k")


def submitting_once_in_a_while(ledger: Ledger) -> Act:
    ledger.submit("failed", dedupe_key="k", dedupe_scope=Scope.CONTENT)
    ledger.commit(ledger.take(start=True), cause=Cause.MODEL)
    ids = iter(("new", "newer", "newest"))

    def submit() -> None:
        job_id = next(ids)
        ledger.submit(f"w-{job_id}", dedupe_key="k", dedupe_scope=Scope.WINDOW, dedupe_s=60)
        ledger.submit(job_id, dedupe_key="k", dedupe_scope=Scope.CONTENT)

    return submit


def submitting_many(ledger: Ledger) -> Act:
    ledger.submit("earlier", idempotency_key="k", request_hash="h")
    later = ledger.cell.now_ms() + 60_000
    fields: list[dict[str, Any]] = [
        {"tier": Tier.SPOT, "deadline_ms": later},
        {"not_before_ms": later, "is_named": True, "request_hash": "h"},
        {"idempotency_key": "k2", "request_hash": "h"},
        {"idempotency_key": "k", "request_hash": "h"},
    ]
    return lambda: ledger.submit_many([(f"new{i}", one) for i, one in enumerate(fields)])


def claiming(ledger: Ledger) -> Act:
    ledger.submit("a", tenant="a")
    ledger.submit("b", tenant="b", webhook_url="")
    ledger.submit("c", tier=Tier.SPOT)
    ledger.submit("late")
    return lambda: ledger.take(jobs=3)


def claiming_what_is_plain(ledger: Ledger) -> Act:
    ledger.submit("a", webhook_url="")
    ledger.submit("told")
    ledger.submit("b", webhook_url="")
    return ledger.take


def claiming_what_came_together(ledger: Ledger) -> Act:
    ledger.submit_many([(job_id, {"webhook_url": ""}) for job_id in "abcde"])
    ledger.amend("default/c", Amendment(deadline_ms=ledger.cell.now_ms() + 60_000))
    return ledger.take


def claiming_within_caps(ledger: Ledger) -> Act:
    ledger.submit("a")
    ledger.submit("b", webhook_url="")
    ledger.submit("c")
    ledger.submit("a", tenant="b")
    caps = TenantStore(ledger.cell.keys)
    ledger.cell.run_all(caps.set_caps("default", {"running_jobs": 2, "waiting_jobs": 9}))
    ledger.take(jobs=1)
    ledger.cell.redis.sadd(ledger.cell.keys.held("default"), "default/none#1")

    def claim_and_free() -> None:
        ledger.take(jobs=5)
        ledger.cell.run_all(caps.set_caps("default", {"running_jobs": None}))

    return claim_and_free


def claiming_what_is_stale(ledger: Ledger) -> Act:
    ledger.submit("done")
    ledger.commit(ledger.take(start=True))
    ledger.submit("a")
    ledger.submit("later", not_before_ms=ledger.cell.now_ms() + 60_000)
    ledger.submit("canceled", webhook_url="")
    ledger.cancel("default/canceled")
    ready = ledger.cell.keys.ready(f"{REF}:standard", "default")
    ledger.cell.redis.zadd(ready, {"default/done": 1, "default/none": 2, "default/canceled": 3})
    return lambda: ledger.take(jobs=3)


def claiming_beside_what_is_paused(ledger: Ledger) -> Act:
    ledger.submit("outgrown")
    ledger.release(ledger.take(), outgrown_bytes=OUTGROWN)
    ledger.submit("waits")
    ledger.submit("goes", tier=Tier.SPOT)
    ledger.pause(STANDARD)
    return lambda: ledger.take(jobs=3)


def pausing(ledger: Ledger) -> Act:
    ledger.submit("a")
    ledger.submit("b", tier=Tier.SPOT)

    def pause_and_claim() -> None:
        ledger.pause(SPOT)
        ledger.take()

    return pause_and_claim


def resuming(ledger: Ledger) -> Act:
    ledger.submit("outgrown")
    ledger.release(ledger.take(), outgrown_bytes=OUTGROWN)
    ledger.submit("a")
    ledger.submit("b", tenant="b")
    ledger.pause(STANDARD)
    return lambda: ledger.resume(STANDARD)


def starting(ledger: Ledger) -> Act:
    ledger.submit("a")
    ledger.submit("b")
    leases = ledger.take()
    ledger.cancel("default/b")
    return lambda: ledger.start(leases)


def starting_what_is_told(ledger: Ledger) -> Act:
    ledger.submit("a", webhook_letters=WITH_STARTS)
    ledger.submit("again", webhook_letters=WITH_STARTS, max_attempts=2)
    ledger.submit("silent", webhook_url="")
    ledger.fail(ledger.take(start=True))
    leases = ledger.take()
    return lambda: ledger.start(leases)


def progressing(ledger: Ledger) -> Act:
    ledger.submit("a", webhook_letters=WITH_STARTS)
    ledger.submit("canceled", webhook_letters=WITH_STARTS)
    ledger.submit("silent", webhook_url="")
    ledger.submit("claimed", webhook_letters=WITH_STARTS)
    leases = ledger.take(jobs=3, start=True) + ledger.take()
    ledger.cancel("default/canceled")
    return lambda: ledger.progress(leases)


def progressing_while_a_word_waits(ledger: Ledger) -> Act:
    ledger.submit("a", webhook_letters=WITH_STARTS)
    leases = ledger.take(start=True)
    ledger.progress(leases)
    return lambda: ledger.progress(leases, 0.6)


def committing_after_progress(ledger: Ledger) -> Act:
    ledger.submit("a", webhook_letters=WITH_STARTS)
    leases = ledger.take(start=True)
    ledger.progress(leases)
    return lambda: ledger.commit(leases)


def renewing(ledger: Ledger) -> Act:
    ledger.submit("a")
    ledger.submit("b")
    leases = ledger.take(start=True)
    return lambda: ledger.renew(leases)


def committing(ledger: Ledger) -> Act:
    ledger.submit("a", deadline_ms=ledger.cell.now_ms() + 60_000)
    ledger.submit("b", is_awaited=True)
    ledger.submit("canceled", is_awaited=True)
    ledger.submit("unstarted", max_attempts=1)
    leases = ledger.take(jobs=3, start=True) + ledger.take()
    ledger.cancel("default/canceled")
    return lambda: ledger.commit(leases)


def committing_what_is_plain(ledger: Ledger) -> Act:
    for job_id in ("runs", "canceled", "brief", "awaited"):
        ledger.submit(job_id, webhook_url="", is_awaited=job_id == "awaited")
    leases = ledger.take(jobs=2, start=True) + ledger.take()
    ledger.cancel("default/canceled")
    return lambda: ledger.commit(leases)


def committing_what_came_together(ledger: Ledger) -> Act:
    ledger.submit_many([(job_id, {"webhook_url": "", "is_awaited": True}) for job_id in "abcde"])
    leases = ledger.take()
    ledger.cancel("default/c")
    return lambda: ledger.commit(leases)


def committing_what_was_told(ledger: Ledger) -> Act:
    ledger.submit("a", webhook_letters=WITH_STARTS)
    ledger.submit("b")
    ledger.submit("silent", webhook_url="")
    leases = ledger.take(start=True)
    return lambda: ledger.commit(leases)


def releasing(ledger: Ledger) -> Act:
    ledger.submit("a")
    ledger.submit("b", tenant="b")
    ledger.submit("claimed")
    leases = ledger.take(jobs=2, start=True) + ledger.take()
    return lambda: ledger.release(leases)


def releasing_for_a_reason(ledger: Ledger) -> Act:
    ledger.submit("running")
    ledger.submit("claimed")
    leases = ledger.take(start=True) + ledger.take()
    return lambda: ledger.release(leases, reason=Reason.PREEMPTED)


def releasing_to_larger_workers(ledger: Ledger) -> Act:
    ledger.submit("running")
    ledger.submit("claimed")
    leases = ledger.take(jobs=1, start=True) + ledger.take()
    return lambda: ledger.release(leases, outgrown_bytes=OUTGROWN)


def releasing_with_how_far_it_is(ledger: Ledger) -> Act:
    ledger.submit("running")
    ledger.submit("claimed")
    leases = ledger.take(jobs=1, start=True) + ledger.take()
    return lambda: ledger.release(leases, kept=b"half")


def failing(ledger: Ledger) -> Act:
    ledger.submit("last", max_attempts=1, deadline_ms=ledger.cell.now_ms() + 60_000)
    ledger.submit("again", max_attempts=2)
    ledger.submit("canceled")
    ledger.submit("once", retry_on=())
    ledger.submit("unstarted", max_attempts=2)
    leases = ledger.take(jobs=4, start=True) + ledger.take()
    ledger.cancel("default/canceled")
    return lambda: ledger.fail(leases)


def failing_for_a_larger_worker(ledger: Ledger) -> Act:
    ledger.submit("last", max_attempts=1)
    ledger.submit("again")
    ledger.submit("unstarted")
    leases = ledger.take(jobs=2, start=True) + ledger.take()
    return lambda: ledger.fail(leases, outgrown_bytes=OUTGROWN)


def failing_with_backoff(ledger: Ledger) -> Act:
    ledger.submit("again", max_attempts=2)
    leases = ledger.take(start=True)
    return lambda: ledger.fail(leases, backoff_ms=30_000)


def canceling_what_waits(ledger: Ledger) -> Act:
    ledger.submit("a", deadline_ms=ledger.cell.now_ms() + 60_000)
    return lambda: ledger.cancel("default/a")


def canceling_what_is_delayed(ledger: Ledger) -> Act:
    ledger.submit("a", not_before_ms=ledger.cell.now_ms() + 60_000)
    return lambda: ledger.cancel("default/a")


def canceling_what_is_claimed(ledger: Ledger) -> Act:
    ledger.submit("a")
    ledger.take()
    return lambda: ledger.cancel("default/a")


def canceling_what_runs(ledger: Ledger) -> Act:
    ledger.submit("a")
    ledger.take(start=True)
    return lambda: ledger.cancel("default/a")


def erasing_what_waits(ledger: Ledger) -> Act:
    ledger.submit("a", deadline_ms=ledger.cell.now_ms() + 60_000, metadata=b'{"a":"b"}')
    ledger.submit("b", webhook_url="")

    def erase() -> None:
        ledger.erase("default/a")
        ledger.erase("default/b")

    return erase


def erasing_what_runs(ledger: Ledger) -> Act:
    ledger.submit("a")
    ledger.take(start=True)
    return lambda: ledger.erase("default/a")


def erasing_what_has_ended(ledger: Ledger) -> Act:
    ledger.submit("untold")
    ledger.submit("plain", webhook_url="", metadata=b'{"a":"b"}')
    ledger.commit(ledger.take(start=True))

    def erase() -> None:
        ledger.erase("default/untold")
        ledger.erase("default/plain")

    return erase


def amending_what_waits(ledger: Ledger) -> Act:
    ledger.submit("a", deadline_ms=ledger.cell.now_ms() + 60_000)
    ledger.submit("b", metadata=b'{"a":"b"}')
    later = ledger.cell.now_ms() + 30_000

    def amend() -> None:
        ledger.amend("default/a", Amendment(Tier.PRIORITY, 0, b'{"c":"d"}'))
        ledger.amend("default/b", Amendment(Tier.SPOT, later, b"{}"))

    return amend


def amending_what_is_delayed(ledger: Ledger) -> Act:
    ledger.submit("a", not_before_ms=ledger.cell.now_ms() + 60_000)
    return lambda: ledger.amend("default/a", Amendment(Tier.SPOT))


def amending_who_is_told(ledger: Ledger) -> Act:
    for job_id in ("moved", "untold"):
        ledger.submit(job_id, webhook_letters=WITH_STARTS)
    ledger.fail(ledger.take(start=True))
    ledger.submit("plain", webhook_url="")

    def amend() -> None:
        ledger.amend("default/plain", Amendment(webhook_url=HOOK))
        ledger.amend("default/moved", Amendment(webhook_url=f"{HOOK}/new"))
        ledger.amend("default/untold", Amendment(webhook_url=""))

    return amend


def hastening(ledger: Ledger) -> Act:
    soon = ledger.cell.now_ms() + 60_000
    for job_id in ("a", "b"):
        ledger.submit(job_id, tier=Tier.SPOT, deadline_ms=soon)
    ledger.submit("other", tier=Tier.SPOT, deadline_ms=soon, tenant="other")
    return ledger.hasten


def expiring(ledger: Ledger) -> Act:
    soon = ledger.cell.now_ms() + 60_000
    for job_id in ("runs", "claimed", "waits"):
        ledger.submit(job_id, deadline_ms=soon)
    ledger.submit("begun", start_by_ms=soon)
    ledger.take(jobs=2, start=True)
    ledger.take(jobs=1)
    return lambda: ledger.expire("default/runs", "default/claimed", "default/waits", "default/begun")


def reaping(ledger: Ledger) -> Act:
    for job_id, attempts in (("runs", 2), ("last", 1), ("canceled", 3)):
        ledger.submit(job_id, max_attempts=attempts)
    ledger.submit("once", retry_on=())
    ledger.take(start=True)
    ledger.submit("claimed")
    ledger.take()
    ledger.cancel("default/canceled")
    return ledger.reap


def promoting(ledger: Ledger) -> Act:
    for job_id in ("a", "b"):
        ledger.submit(job_id, not_before_ms=ledger.cell.now_ms() + 60_000)
    return ledger.promote


def sweeping(ledger: Ledger) -> Act:
    ledger.submit("done")
    ledger.commit(ledger.take(start=True))
    ledger.submit("waits", deadline_ms=ledger.cell.now_ms() + 60_000)
    ledger.submit("gone", tenant="gone")
    keys, redis = ledger.cell.keys, ledger.cell.redis
    redis.persist(keys.job("default/done"))
    redis.delete(keys.deadlines)
    redis.zadd(keys.index("default"), {"default/none": 1})
    redis.set(keys.input("default/none"), "an input without a record")
    return ledger.sweep


def taking_a_token(ledger: Ledger) -> Act:
    ledger.submit("a")
    return ledger.ask


def signing(ledger: Ledger) -> Act:
    return lambda: ledger.rotate_secret()


def noting_health(ledger: Ledger) -> Act:
    ledger.submit("a")
    return lambda: ledger.note_health()


def forgetting(ledger: Ledger) -> Act:
    ledger.submit("told")
    ledger.submit("untold")
    ledger.commit(ledger.take(jobs=1, start=True))
    ledger.settle(ledger.claim_deliveries(), DeliveryState.DELIVERED)
    ledger.commit(ledger.take(start=True))
    ledger.submit("waits")
    return ledger.forget


def setting_apart(ledger: Ledger) -> Act:
    ledger.submit("a")
    keys, redis = ledger.cell.keys, ledger.cell.redis
    for key in (keys.stats, keys.strays, keys.events, keys.desired):
        redis.set(key, "not ours")
    return ledger.tidy


#: By script: jobs in the states that it meets, and the call that will be stopped.
SCENARIOS: dict[str, list[Scenario]] = {
    "submit": [
        *(submitting, submitting_the_first, submitting_what_is_plain, submitting_under_another_id),
        *(submitting_for_later, submitting_under_a_name, submitting_once_at_a_time, submitting_once_in_a_while),
        *(submitting_many, submitting_in_turns),
    ],
    "claim": [
        *(claiming, claiming_what_is_plain, claiming_what_came_together, claiming_within_caps, claiming_what_is_stale),
        claiming_beside_what_is_paused,
    ],
    "pause": [pausing],
    "resume": [resuming],
    "start": [starting, starting_what_is_told],
    "progress": [progressing, progressing_while_a_word_waits],
    "renew": [renewing],
    "commit": [
        committing,
        committing_what_is_plain,
        committing_what_came_together,
        committing_what_was_told,
        committing_after_progress,
    ],
    "release": [releasing, releasing_for_a_reason, releasing_to_larger_workers, releasing_with_how_far_it_is],
    "fail": [failing, failing_with_backoff, failing_for_a_larger_worker],
    "cancel": [canceling_what_waits, canceling_what_is_delayed, canceling_what_is_claimed, canceling_what_runs],
    "erase": [erasing_what_waits, erasing_what_runs, erasing_what_has_ended],
    "amend": [amending_what_waits, amending_what_is_delayed, amending_who_is_told, amending_in_turns],
    "hasten": [hastening],
    "expire": [expiring],
    "reap": [reaping],
    "promote": [promoting],
    "sweep": [sweeping],
    "claim_deliveries": [claiming_deliveries, claiming_early_events, claiming_progress],
    "settle_deliveries": [settling_deliveries, settling_early_events],
    "replay_deliveries": [replaying, replaying_early_events],
    "signing": [signing],
    "note_health": [noting_health],
    "set_apart": [setting_apart],
    "take_token": [taking_a_token],
    "forget": [forgetting],
}
