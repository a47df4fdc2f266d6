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
from typing import NamedTuple

import redis

from headrace.delivery_store import ClaimedDeliveries, DeliveryStore, Settlement, given_back
from headrace.endpoint_store import EndpointStore
from headrace.endpoint_tests import EndpointTestStore
from headrace.errors import RedisUnavailable
from headrace.failpoints import failpoint
from headrace.keys import Keys
from headrace.logs import about
from headrace.metric_targets import MetricTarget
from headrace.metrics_port import MetricsPort
from headrace.mux import Mux
from headrace.redis_op import RedisOp, Reply
from headrace.secret_box import box_of
from headrace.settings import Settings
from headrace.store import JobStore
from headrace.webhook_event import MOST_INLINE_BYTES
from headrace.webhooks import COURIER_CLASS, DeliveryState, DueDelivery
from workers.backoff import Backoff
from workers.metrics import CourierCollector, render_of
from workers.task_results import TaskResults
from workers.webhooks.endpoint_book import EndpointBook
from workers.webhooks.guard import Resolve, resolve
from workers.webhooks.lanes import Lanes, Placed
from workers.webhooks.messenger import Messenger
from workers.webhooks.schedule import RESTS, Answer, judge
from workers.webhooks.settler import Settler
from workers.webhooks.tally import DeliveryTally
from workers.webhooks.teller import Teller, receiver_of
from workers.webhooks.tester import Tester

log = logging.getLogger("headrace.courier")

#: A ring that was missed costs at most this.
_LONGEST_DOZE_S = 5.0
#: Attempts under way may finish for so long when the courier stops; then they are made again by another.
_GRACE_S = 5.0
#: Less room than this share of all is not worth a claim of its own while there is something to do.
_LEAST_CLAIM = 8


class _Leased(NamedTuple):
    due: DueDelivery
    leased_at: float


class Courier:
    """One per worker process.

    Args:
        settings: of this process.
        results: where ends are stored that Celery's producers wait for.
        resolver: finds addresses of names.
    """

    def __init__(self, *, settings: Settings, results: TaskResults | None = None, resolver: Resolve = resolve) -> None:
        self._settings = settings
        self._results, self._resolver = results, resolver
        self._jobs = JobStore(Keys(cell=settings.cell))
        self._store = DeliveryStore(Keys(cell=settings.cell))
        self._lanes = Lanes[_Leased](attempts=settings.webhook_concurrency, width=settings.webhook_receiver_concurrency)
        #: Longer than a wait in a lane and the attempt can take, so that nobody else makes it meanwhile.
        self._lease_ms = round(2_000 * settings.webhook_timeout_s)
        #: What waits too long in a lane is seen before its lease runs out.
        self._longest_doze_s = min(_LONGEST_DOZE_S, settings.webhook_timeout_s / 2)
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
        messenger = self._make_parts()
        await self._mux.start()
        await self._bell.start()
        listening = asyncio.create_task(self._listen())
        try:
            await self._deliver_on()
            await self._finish()
        finally:
            listening.cancel()
            await self._tester.close()
            await messenger.close()
            await self._bell.close()
            await self._mux.close()

    def _make_parts(self) -> Messenger:
        """Make what belongs to the running loop; the messenger is to be closed."""
        self._look, self._under_way = asyncio.Event(), set[asyncio.Task[None]]()
        self._loop = asyncio.get_running_loop()
        self._mux = Mux(url=self._settings.redis_url)
        self._bell = Mux(url=self._settings.redis_url, timeout_s=_LONGEST_DOZE_S + 3)
        messenger = Messenger(
            egress=self._settings.webhook_egress,
            timeout_s=self._settings.webhook_timeout_s,
            connections=self._settings.webhook_concurrency,
            resolver=self._resolver,
        )
        box = box_of(self._settings)
        self._teller = Teller(
            mux=self._mux,
            jobs=self._jobs,
            deliveries=self._store,
            messenger=messenger,
            book=EndpointBook(mux=self._mux, store=EndpointStore(self._store.keys), box=box),
            box=box,
            results=self._results,
        )
        tests = EndpointTestStore(self._store.keys)
        self._tester = Tester(mux=self._mux, store=tests, teller=self._teller, tally=self._tally)
        self._settler = Settler(mux=self._mux, store=self._store, result_ttl_s=self._settings.result_ttl_s)
        return messenger

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
                async with asyncio.timeout(min(doze_s, self._longest_doze_s)):
                    await self._look.wait()

    async def _deliver(self) -> float:
        """Lease what is due and there is room for; answers for how many seconds there is nothing more to do."""
        self._give_back_late()
        room = self._lanes.room
        if room < max(1, self._settings.webhook_concurrency // _LEAST_CLAIM):
            return _LONGEST_DOZE_S
        failpoint("courier.before_claim")
        claimed = await self._claim(room)
        failpoint("courier.claimed")
        now = time.monotonic()
        for due in claimed.due:
            if back_s := self._lanes.offer(_Leased(due, now), receiver_of(due), now):
                self._give_back(due, back_s)
        self._begin()
        if len(claimed.due) == room:
            return 0.0
        return min(claimed.come_back_ms / 1000 or _LONGEST_DOZE_S, _LONGEST_DOZE_S)

    def _give_back_late(self) -> None:
        """What waited so long that its lease might run out before its receiver has answered; nobody was charged."""
        for leased in self._lanes.late(self._is_late):
            self._give_back(leased.due, 0.0)

    def _is_late(self, leased: _Leased) -> bool:
        return time.monotonic() - leased.leased_at > self._settings.webhook_timeout_s

    async def _claim(self, room: int) -> ClaimedDeliveries:
        claim = self._store.claim(limit=room, lease_ms=self._lease_ms, most_output_bytes=MOST_INLINE_BYTES)
        return await self._mux.run(claim)

    def _begin(self) -> None:
        """Begin the attempts whose turn it is."""
        for placed in self._lanes.take(time.monotonic()):
            if placed.rests_s:
                self._judge(placed.item.due, Answer(RESTS, retry_after_s=placed.rests_s))
                continue
            task = asyncio.create_task(self._attempt(placed))
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not self._is_stopping.is_set():
            self._begin()
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
                await self._tester.look()
            except (RedisUnavailable, redis.ResponseError) as error:
                log.debug("the bell cannot be heard: %s", error)
                await asyncio.sleep(1.0)

    # --- one delivery ----------------------------------------------------------------------------------------

    async def _attempt(self, placed: Placed[_Leased]) -> None:
        due, began = placed.item.due, time.monotonic()
        if self._is_late(placed.item):
            self._lanes.withdraw(placed)
            self._give_back(due, 0.0)
            return
        answer = await self._tell(due)
        now = time.monotonic()
        self._tally.attempted(answer.outcome, now - began)
        self._lanes.ended(placed, is_well=answer.is_from_the_well, took_s=now - began, now=now, pause_s=answer.pause_s)
        self._tally.resting = self._lanes.resting
        failpoint("courier.posted")
        self._judge(due, answer)

    async def _tell(self, due: DueDelivery) -> Answer:
        self._tally.under_way += 1
        try:
            return await self._teller.tell(due)
        except Exception:
            log.exception("delivery %s could not be attempted", due.id, extra=_about(due))
            return Answer("internal")
        finally:
            self._tally.under_way -= 1

    def _judge(self, due: DueDelivery, answer: Answer) -> None:
        verdict = judge(answer, attempts=due.attempts, luck=random.random())
        if verdict.state is not DeliveryState.DELIVERED:
            words = (due.id, due.attempts, answer.outcome, verdict.state)
            log.info("delivery %s, attempt %d: %s (%s)", *words, extra=_about(due))
        self._settler.put(Settlement(due.id, due.fence, verdict.state, answer.outcome, verdict.delay_ms))

    def _give_back(self, due: DueDelivery, delay_s: float) -> None:
        self._settler.put(given_back(due, round(1000 * delay_s)))

    async def _finish(self) -> None:
        for placed in self._lanes.give_up():
            self._give_back(placed.due, 0.0)
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=_GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._settler.close(_GRACE_S)


def _about(due: DueDelivery) -> dict[str, str]:
    return about(due.job.member, due.job.traceparent)


def _newest(reply: Reply) -> str | None:
    """The id of the ring that was heard, None if none was."""
    return reply[0][1][-1][0].decode() if reply else None
