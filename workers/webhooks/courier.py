"""Courier: leases due deliveries, attempts each, settles them. An asyncio loop in a thread of a Celery worker.

A courier that dies loses nothing: what it had leased is due again when the leases run out, under the same `webhook-id`.
"""

import asyncio
import contextlib
import logging
import os
import random
import signal
import threading
import time
from http import HTTPStatus

import redis

from headrace.delivery_store import ClaimedDeliveries, DeliveryStore, Settlement
from headrace.errors import RedisUnavailable
from headrace.failpoints import failpoint
from headrace.jobs import Job
from headrace.keys import Keys
from headrace.logs import about
from headrace.metric_targets import MetricTarget
from headrace.metrics_port import MetricsPort
from headrace.mux import Mux
from headrace.redis_op import RedisOp, Reply
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.trace import TRACEPARENT
from headrace.webhooks import COURIER_CLASS, DeliveryState, DueDelivery, event_id_of
from workers.backoff import Backoff
from workers.metrics import CourierCollector, render_of
from workers.task_results import TaskResults, marked_task
from workers.webhooks.event import MOST_INLINE_BYTES, body_of
from workers.webhooks.messenger import Messenger
from workers.webhooks.schedule import Answer, judge
from workers.webhooks.signature import signed_headers
from workers.webhooks.signing_keys import SigningKeys
from workers.webhooks.tally import DeliveryTally

log = logging.getLogger("headrace.courier")

#: A ring that was missed costs at most this.
_LONGEST_DOZE_S = 5.0
#: Attempts under way may finish for so long when the courier stops; then they are made again by another.
_GRACE_S = 5.0
_HEADERS = {
    "content-type": "application/json",
    "user-agent": "Headrace-Webhooks/1",
    "accept": "*/*",
    "accept-encoding": "identity",
}


class Courier:
    """One per worker process.

    Args:
        settings: of this process.
        results: where ends are stored that Celery's producers wait for.
    """

    def __init__(self, *, settings: Settings, results: TaskResults | None = None) -> None:
        self._settings = settings
        self._results = results
        self._jobs = JobStore(Keys(cell=settings.cell))
        self._store = DeliveryStore(Keys(cell=settings.cell))
        self._room = settings.webhook_concurrency
        #: Longer than an attempt can take, so that nobody else makes it meanwhile.
        self._lease_ms = round(2_000 * settings.webhook_timeout_s)
        self._thread = threading.Thread(target=self._run, name="headrace-courier", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stopping = threading.Event()
        self._tally = DeliveryTally()
        page, target = render_of(CourierCollector(self._tally)), MetricTarget("", "courier", COURIER_CLASS)
        self._metrics = MetricsPort(settings=settings, target=target, render=page)

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._metrics.start()

    def stop(self) -> None:
        """Claim no more, let attempts under way finish for a while, end; waits for the thread."""
        self._is_stopping.set()
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # its loop has ended already
                self._loop.call_soon_threadsafe(self._look.set)
        self._metrics.close()
        self._thread.join(_GRACE_S + 5)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception:
            # A courier that delivers nothing helps nobody: its owner starts another.
            log.exception("the courier cannot go on; its process ends")
            os.kill(os.getpid(), signal.SIGTERM)

    async def _main(self) -> None:
        self._look, self._under_way = asyncio.Event(), set[asyncio.Task[None]]()
        self._loop = asyncio.get_running_loop()
        self._mux = Mux(url=self._settings.redis_url)
        self._bell = Mux(url=self._settings.redis_url, timeout_s=_LONGEST_DOZE_S + 3)
        self._keys = SigningKeys(mux=self._mux, store=self._store)
        self._messenger = Messenger(
            egress=self._settings.webhook_egress,
            timeout_s=self._settings.webhook_timeout_s,
            connections=self._room,
        )
        await self._mux.start()
        await self._bell.start()
        listening = asyncio.create_task(self._listen())
        try:
            await self._deliver_on()
            await self._finish()
        finally:
            listening.cancel()
            await self._messenger.close()
            await self._bell.close()
            await self._mux.close()

    # --- claiming --------------------------------------------------------------------------------------------

    async def _deliver_on(self) -> None:
        backoff = Backoff(first_s=0.1, most_s=2.0)
        while not self._is_stopping.is_set():
            self._look.clear()
            try:
                doze_s = await self._deliver()
                backoff.reset()
            except (RedisUnavailable, redis.ResponseError) as error:
                doze_s = backoff.next_s()
                log.warning("deliveries cannot be claimed (%s); next try in %.1f s", error, doze_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(doze_s):
                    await self._look.wait()

    async def _deliver(self) -> float:
        """Begin what is due and there is room for; answers for how many seconds there is nothing more to do."""
        room = self._room - len(self._under_way)
        if room <= 0:
            return _LONGEST_DOZE_S
        claimed = await self._claim(room)
        failpoint("courier.claimed")
        for due in claimed.due:
            task = asyncio.create_task(self._attempt(due))
            self._under_way.add(task)
            task.add_done_callback(self._ended)
        if len(claimed.due) == room or not claimed.come_back_ms:
            return _LONGEST_DOZE_S
        return min(claimed.come_back_ms / 1000, _LONGEST_DOZE_S)

    async def _claim(self, room: int) -> ClaimedDeliveries:
        claim = self._store.claim(limit=room, lease_ms=self._lease_ms, most_output_bytes=MOST_INLINE_BYTES)
        return await self._mux.run(claim)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._look.set()

    async def _listen(self) -> None:
        """Wait at the bell, from the last ring that was heard."""
        last = "0"
        while True:
            block_ms = round(_LONGEST_DOZE_S * 1000)
            read = ("XREAD", "COUNT", 1, "BLOCK", block_ms, "STREAMS", self._store.keys.couriers, last)
            try:
                newest: str | None = await self._bell.run(RedisOp(_newest, read))
                last = newest or last
                self._look.set()
            except (RedisUnavailable, redis.ResponseError) as error:
                log.debug("the bell cannot be heard: %s", error)
                await asyncio.sleep(1.0)

    # --- one delivery ----------------------------------------------------------------------------------------

    async def _attempt(self, due: DueDelivery) -> None:
        began = time.monotonic()
        self._tally.under_way += 1
        try:
            answer = await self._tell(due)
        except Exception:
            log.exception("delivery %s could not be attempted", due.id, extra=_about(due))
            answer = Answer("internal")
        finally:
            self._tally.under_way -= 1
        self._tally.attempted(answer.outcome, time.monotonic() - began)
        failpoint("courier.posted")
        verdict = judge(answer, attempts=due.attempts, luck=random.random())
        if verdict.state is not DeliveryState.DELIVERED:
            words = (due.id, due.attempts, answer.outcome, verdict.state)
            log.info("delivery %s, attempt %d: %s (%s)", *words, extra=_about(due))
        await self._settle(Settlement(due.id, due.fence, verdict.state, answer.outcome, verdict.delay_ms))

    async def _tell(self, due: DueDelivery) -> Answer:
        task_id = marked_task(due.url)
        return await (self._post(due) if task_id is None else self._store_result(task_id, due.job))

    async def _store_result(self, task_id: str, job: Job) -> Answer:
        if self._results is None:
            return Answer("no_result_backend")
        output = await self._mux.run(self._jobs.output(job.member))
        await asyncio.to_thread(self._results.store, task_id, job, output)
        return Answer("stored", HTTPStatus.OK)

    async def _post(self, due: DueDelivery) -> Answer:
        keys = await self._keys.of(due.job.tenant)
        body = body_of(due)
        signed = signed_headers(event_id_of(due.id), int(time.time()), body, keys)
        traced = {TRACEPARENT: due.job.traceparent} if due.job.traceparent else {}
        return await self._messenger.post(due.url, {**_HEADERS, **traced, **signed}, body)

    async def _settle(self, settlement: Settlement) -> None:
        """Say what came of it; a server that is down is told when it is back, if nobody leased the delivery since."""
        op = self._store.settle([settlement], result_ttl_s=self._settings.result_ttl_s)
        backoff = Backoff(first_s=0.1, most_s=2.0)
        while True:
            try:
                await self._mux.run(op)
                failpoint("courier.settled")
                return
            except RedisUnavailable as error:
                pause_s = backoff.next_s()
                log.warning("delivery %s is not settled yet: %s", settlement.delivery_id, error)
                await asyncio.sleep(pause_s)

    async def _finish(self) -> None:
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=_GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


def _about(due: DueDelivery) -> dict[str, str]:
    return about(due.job.member, due.job.traceparent)


def _newest(reply: Reply) -> str | None:
    """The id of the ring that was heard, None if none was."""
    return reply[0][1][-1][0].decode() if reply else None
