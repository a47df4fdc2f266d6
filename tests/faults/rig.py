"""Rig: a cluster whose parts are all there and are kept alive, what was asked of it, and the check of it all."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from headrace.jobs import Job
from tests.faults.checker import Bounds, check, verify
from tests.faults.cluster import Cluster
from tests.faults.evidence import Evidence, deliveries_of, gather
from tests.faults.fleet import Fleet
from tests.faults.history import History
from tests.faults.proxy import Link
from tests.faults.submitter import Question, Submitter, accepted, erased, new_x
from tests.integration.receivers import Receiver

#: fsync before each answer: what a killed server had answered is in its file, also on a slow disk.
ALWAYS = {"appendfsync": "always"}
_END_LIMIT_S = 90.0


class Rig:
    """One API, two schedulers, two workers, a courier, and a receiver of webhooks.

    Args:
        folder: where everything is written.
        options: of the server.
        lease_ms: of jobs.
        workers: how many.
        proxied: roles that reach Redis through a link of their own.
        durability: as in the settings.
    """

    def __init__(
        self,
        folder: Path,
        *,
        options: Mapping[str, str] | None = None,
        lease_ms: int = 2_000,
        workers: int = 2,
        schedulers: int = 2,
        with_courier: bool = False,
        proxied: Sequence[str] = (),
        durability: str = "everysec",
    ) -> None:
        self.cluster = Cluster(folder=folder, options={**ALWAYS, **(options or {})}, lease_ms=lease_ms)
        self.cluster.settings = self.cluster.settings.model_copy(update={"durability": durability})
        self.cluster.start_server()
        self.history = History(folder / "history.jsonl")
        self.receiver = Receiver()
        self.ref = self.cluster.push_model()
        self.links = {role: Link(target_port=self.cluster.server.port) for role in proxied}
        self.fleet = Fleet(
            self.cluster,
            (self.ref,),
            workers=workers,
            schedulers=schedulers,
            with_courier=with_courier,
            urls={role: link.url for role, link in self.links.items()},
        )
        self.fleet.wait_until_serving()
        self._before: dict[str, Question] = {}
        self._pool = ThreadPoolExecutor(max_workers=4)

    def close(self) -> None:
        """End everything."""
        self.cluster.close()
        self._pool.shutdown(cancel_futures=True)
        for link in self.links.values():
            link.close()
        self.receiver.close()
        self.history.close()

    def begin(self) -> None:
        """All is well again, and what was asked before is not asked for any more."""
        self.cluster.disarm()
        for link in self.links.values():
            link.heal()
        self.fleet.heal()
        self._before = accepted(self.history)

    @property
    def questions(self) -> dict[str, Question]:
        """What was accepted since the beginning."""
        return {member: job for member, job in accepted(self.history).items() if member not in self._before}

    def questions_of(
        self, count: int, *, sleep_ms: int = 30, hooks: int = 0, later_s: int = 0, steps: int = 0
    ) -> list[Question]:
        """So many new innocent questions, the first `hooks` of them with a webhook."""
        hooked = (self.receiver.url if n < hooks else "" for n in range(count))
        return [Question(x=new_x(), sleep_ms=sleep_ms, hook=hook, later_s=later_s, steps=steps) for hook in hooked]

    def put(self, questions: Sequence[Question]) -> None:
        """Store jobs without the API, all at once."""
        store, cell = self.cluster.store, self.cluster.settings.cell
        jobs = [question.job(self.ref, cell=cell) for question in questions]
        self.cluster.redis.run_all(store.submit(job, cap=100_000) for job in jobs)
        for job, question in zip(jobs, questions, strict=True):
            self.history.note("accepted", member=job.member, **asdict(question))

    @contextlib.contextmanager
    def load(self, *, sleep_ms: int, pause_s: float = 0.0) -> Iterator[None]:
        """Hand jobs in, one after the other, as long as the block lasts; then wait until all have ended."""
        is_over = threading.Event()

        def more() -> Iterator[Question]:
            while not is_over.wait(pause_s):
                yield Question(x=new_x(), sleep_ms=sleep_ms)

        submitting = self.submitting(more())
        try:
            yield
        finally:
            is_over.set()
        self.finish(submitting)

    def submitting(self, questions: Iterable[Question]) -> Future[None]:
        """Hand questions in from a thread of its own."""
        return self._pool.submit(self.submit, questions)

    def submit(self, questions: Iterable[Question]) -> None:
        """Hand questions in, one after the other, until all are accepted."""
        submitter = Submitter(port=self.cluster.settings.api_port, history=self.history)
        for question in questions:
            submitter.submit(question)
        submitter.close()

    def doing(self, act: Callable[[Submitter], None]) -> Future[None]:
        """Do something over HTTP from a thread of its own."""

        def do() -> None:
            submitter = Submitter(port=self.cluster.settings.api_port, history=self.history)
            act(submitter)
            submitter.close()

        return self._pool.submit(do)

    def finish(self, submitting: Future[None] | None = None) -> None:
        """Wait until everything is accepted, has ended and was told, restarting what ended meanwhile."""
        if submitting is not None:
            self.until("all accepted", submitting.done)
            submitting.result()
        self.until("all ended and told", lambda: not self.open_jobs())

    def until(self, what: str, is_so: Callable[[], bool], *, limit_s: float = _END_LIMIT_S) -> None:
        """Wait, restarting what has ended."""
        until = time.monotonic() + limit_s
        while not is_so():
            self.fleet.restart_ended()
            assert time.monotonic() < until, f"not {what} after {limit_s:g} s: {self.open_jobs()[:5]}"
            time.sleep(0.05)

    def open_jobs(self) -> list[str]:
        """Jobs that have not ended, or of which an event was not told."""
        questions, store = self.questions, self.cluster.store
        jobs = self.cluster.redis.run_all(store.read(member) for member in questions)
        there = [job for job in jobs if job is not None]
        waiting = [job.member for job in there if not job.status.is_terminal]
        return waiting or [job.member for job in there if questions[job.member].hook and not self._is_told(job)]

    def _is_told(self, job: Job) -> bool:
        return all(self.receiver.of(delivery_id) for delivery_id in deliveries_of(job))

    def evidence(self) -> Evidence:
        """Everything since the beginning."""
        gone = erased(self.history) - self._before.keys()
        return gather(self.cluster, self.questions, receiver=self.receiver, before=self._before, erased=gone)

    def verify(self, bounds: Bounds | None = None) -> Evidence:
        """All invariants hold."""
        evidence = self.evidence()
        verify(check(evidence, bounds))
        return evidence

    def verify_everything(self, bounds: Bounds | None = None) -> Evidence:
        """All invariants hold of everything that was ever asked."""
        self._before = {}
        return self.verify(bounds)

    # --- looking

    def recovery_s(self, step: str, evidence: Evidence) -> float:
        """Seconds from what happened at a step to the end of the last job."""
        (fired,) = self.cluster.armed.glob(f"{step}.fired-*")
        last_ms = max(job.ended_ms or 0 for job in evidence.jobs.values())
        return max(0.0, last_ms / 1000 - fired.stat().st_ctime)
