"""`python -m tests.faults.soak`: many jobs while everything is killed, and the table of what came of them.

Two models, three tiers, one job in a hundred is poison (of those one in ten kills its process, the others only fail),
one in ten has a webhook; a worker, a child, the API, the scheduler or the courier is killed every few seconds, Redis
every minute. On failure the schedule of
faults is shrunk to the smallest that still fails (`--shrink`), and printed with its seed.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from headrace.jobs import Cause, JobStatus
from headrace.tiers import Tier
from headrace.webhooks import delivery_id_of
from tests.faults.checker import Verdict, check
from tests.faults.cluster import Cluster
from tests.faults.evidence import Evidence, gather
from tests.faults.fleet import Fleet
from tests.faults.history import History
from tests.faults.nemesis import Fault, Nemesis, make_schedule
from tests.faults.shrink import shrink
from tests.faults.submitter import Question, Submitter, accepted
from tests.integration.receivers import Receiver

MODELS = ("exact", "likewise")
TIERS = (Tier.PRIORITY, Tier.STANDARD, Tier.SPOT)
_SUBMITTERS = 4
_HOOK_EVERY = 10
_KILL_EVERY_S = 3.0
_END_LIMIT_S = 300.0
_TELL_EVERY_S = 5.0


@dataclass(frozen=True, kw_only=True)
class SoakTerms:
    """What a soak is made of; the same terms give the same jobs and the same schedule."""

    jobs: int = 100_000
    seed: int = 1
    #: Jobs handed in a second.
    rate: float = 150.0
    redis_every_s: float = 60.0

    @property
    def lasts_s(self) -> float:
        """How long jobs are handed in."""
        return self.jobs / self.rate

    def schedule(self) -> list[Fault]:
        """What happens meanwhile."""
        return make_schedule(
            seed=self.seed,
            lasts_s=self.lasts_s,
            kill_every_s=_KILL_EVERY_S,
            redis_every_s=min(self.redis_every_s, self.lasts_s / 3),
        )

    def questions(self, hook: str) -> Iterator[Question]:
        """The jobs; the ends of some are told to `hook`."""
        chance = random.Random(self.seed)
        for x in range(1, self.jobs + 1):
            act = "answer" if chance.random() >= 0.01 else chance.choices(("raise", "exit"), (9, 1))[0]
            model, tier = chance.choice(MODELS), chance.choice(TIERS)
            sleep_ms, url = chance.choice((2, 20, 50)), "" if x % _HOOK_EVERY else hook
            yield Question(x=x, model=model, tier=tier, act=act, sleep_ms=sleep_ms, hook=url)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a soak came to."""

    verdicts: Sequence[Verdict]
    rows: Sequence[tuple[str, object]]

    @property
    def holds(self) -> bool:
        """True if no invariant is broken."""
        return not any(verdict.violations for verdict in self.verdicts)

    def __str__(self) -> str:
        table = [f"  {name:<32}{value}" for name, value in self.rows]
        return "\n".join([*table, "", *(f"  {verdict}" for verdict in self.verdicts)])


class Soak:
    """One run in a folder of its own."""

    def __init__(self, *, folder: Path, terms: SoakTerms, schedule: Sequence[Fault]) -> None:
        self._terms = terms
        self._cluster = Cluster(folder=folder, options={"appendfsync": "always"})
        self._cluster.start_server()
        self._history = History(folder / "history.jsonl")
        refs = tuple(self._cluster.push_model(name) for name in MODELS)
        self._receiver = Receiver()
        self._fleet = Fleet(self._cluster, refs, workers=3, schedulers=2, with_courier=True)
        self._nemesis = Nemesis(cluster=self._cluster, fleet=self._fleet, history=self._history, schedule=schedule)
        self._handed_in = 0
        self._lock = threading.Lock()

    def run(self) -> Outcome:
        """Hand everything in while the nemesis works, wait for the ends, look at what is left.

        Raises:
            TimeoutError: if jobs are still open long after the last fault.
        """
        try:
            self._fleet.wait_until_serving()
            connections = self._connections()
            began = time.monotonic()
            self._nemesis.start()
            self._hand_in()
            self._nemesis.stop()
            if self._nemesis.error:
                raise self._nemesis.error
            self._wait_for_ends()
            took_s = time.monotonic() - began
            self._fleet.heal()
            evidence = gather(
                self._cluster,
                accepted(self._history),
                receiver=self._receiver,
                connections=(connections, self._connections()),
            )
            return Outcome(verdicts=check(evidence), rows=self._rows(evidence, took_s))
        finally:
            self._nemesis.stop()
            self._cluster.close()
            self._receiver.close()
            self._history.close()

    def _connections(self) -> int:
        return int(self._cluster.redis.client.info("clients")["connected_clients"])

    def _hand_in(self) -> None:
        questions, began = self._terms.questions(self._receiver.url), time.monotonic()

        def hand_in() -> None:
            submitter = Submitter(port=self._cluster.settings.api_port, history=self._history)
            while (question := self._next(questions, began)) is not None:
                submitter.submit(question)
            submitter.close()

        with ThreadPoolExecutor(_SUBMITTERS) as pool:
            threads = [pool.submit(hand_in) for _ in range(_SUBMITTERS)]
            while not all(thread.done() for thread in threads):
                self._tell(time.monotonic() - began)
                time.sleep(min(_TELL_EVERY_S, 0.2 + self._terms.lasts_s / 20))
            for thread in threads:
                thread.result()

    def _next(self, questions: Iterator[Question], began: float) -> Question | None:
        with self._lock:
            due_at = began + self._handed_in / self._terms.rate
            time.sleep(max(0.0, due_at - time.monotonic()))
            question = next(questions, None)
            self._handed_in += question is not None
            return question

    def _tell(self, seconds: float) -> None:
        kills = " ".join(f"{kind} {count}" for kind, count in sorted(self._nemesis.kills.items()))
        sys.stderr.write(
            f"{seconds:6.0f} s  {self._handed_in} of {self._terms.jobs} handed in; killed: {kills or '-'}\n"
        )

    def _wait_for_ends(self) -> None:
        redis, store = self._cluster.redis, self._cluster.store
        open_jobs, until = list(accepted(self._history)), time.monotonic() + _END_LIMIT_S
        while open_jobs and time.monotonic() < until:
            self._fleet.restart_ended()
            jobs = redis.run_all(store.read(member) for member in open_jobs[:2_000])
            rows = zip(open_jobs, jobs, strict=False)
            ended = {member for member, job in rows if job is None or job.status.is_terminal}
            open_jobs = [member for member in open_jobs if member not in ended]
            if not ended:
                time.sleep(0.2)
        hooked = [member for member, question in accepted(self._history).items() if question.hook]
        while not all(map(self._is_told, hooked)) and time.monotonic() < until:
            self._fleet.restart_ended()
            time.sleep(0.2)
        # What has not ended till now is for the checker to say.

    def _is_told(self, member: str) -> bool:
        return bool(self._receiver.of(delivery_id_of(member)))

    def _rows(self, evidence: Evidence, took_s: float) -> list[tuple[str, object]]:
        jobs = evidence.jobs
        ends = Counter((job.status, job.cause) for job in jobs.values())
        failed = {member for member, job in jobs.items() if job.status is JobStatus.FAILED}
        innocent = [member for member in failed if evidence.questions[member].is_innocent]
        hooked = [member for member, question in evidence.questions.items() if question.hook]
        dead = [member for member in failed if jobs[member].cause in (Cause.WORKER_LOST, Cause.TIMEOUT)]
        return [
            ("accepted", len(evidence.questions)),
            ("succeeded", ends[JobStatus.SUCCEEDED, None]),
            ("failed as designed", len(failed) - len(dead)),
            ("dead-lettered", f"{len(dead)}, {len([m for m in dead if m in innocent])} of them innocent"),
            ("lost", len(evidence.questions) - len(jobs)),
            ("double-committed", sum(len(evidence.stories[m].ends) > 1 for m in jobs if m in evidence.stories)),
            ("webhooks", f"{len(hooked)} to be told, {len(set(hooked) - set(evidence.told))} missing"),
            ("webhooks sent", len(self._receiver.heard)),
            ("executions", len(evidence.executions)),
            ("kills", f"{sum(self._nemesis.kills.values())}: {dict(self._nemesis.kills)}"),
            ("processes started again", sum(role.restarts for role in self._fleet.roles.values())),
            ("worst from accepted to ended", f"{_worst_s(evidence):.1f} s"),
            ("worst recovery", f"{self._worst_recovery_s(evidence):.1f} s from a kill of a worker"),
            ("seed", self._terms.seed),
            ("took", f"{took_s:.0f} s"),
        ]

    def _worst_recovery_s(self, evidence: Evidence) -> float:
        """From the death of a worker to the end of the last job that it held then."""
        offset_s = time.time() - time.monotonic()
        worst = 0.0
        for event in self._history.events("fault"):
            if event.fields["kind"] == "worker":
                dead_ms = 1000 * (event.at_s + offset_s)
                worst = max([worst, *_recoveries_s(evidence, event.fields["pid"], dead_ms)])
        return worst


def _recoveries_s(evidence: Evidence, pid: int, dead_ms: float) -> Iterator[float]:
    for member, story in evidence.stories.items():
        if any(each.pid == pid for each in story.hand_overs) and member in evidence.jobs:
            ended_ms = evidence.jobs[member].ended_ms
            if ended_ms is not None and ended_ms > dead_ms:
                yield (ended_ms - dead_ms) / 1000


def _worst_s(evidence: Evidence) -> float:
    return max((((job.ended_ms or 0) - job.created_ms) / 1000 for job in evidence.jobs.values()), default=0.0)


def soak(terms: SoakTerms, schedule: Sequence[Fault] | None = None) -> Outcome:
    """Run one."""
    with tempfile.TemporaryDirectory(prefix="headrace-soak-") as folder:
        faults = terms.schedule() if schedule is None else schedule
        return Soak(folder=Path(folder), terms=terms, schedule=faults).run()


def main() -> int:
    """Run one, print the table; answers the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--jobs", type=int, default=SoakTerms.jobs)
    parser.add_argument("--seed", type=int, default=SoakTerms.seed)
    parser.add_argument("--rate", type=float, default=SoakTerms.rate, help="jobs handed in a second")
    parser.add_argument("--shrink", action="store_true", help="after a failure, look for the smallest schedule")
    options = parser.parse_args()
    terms = SoakTerms(jobs=options.jobs, seed=options.seed, rate=options.rate)
    outcome = soak(terms)
    print(outcome)  # noqa: T201 - the table is what this command is for
    if not outcome.holds:
        faults = terms.schedule()
        if options.shrink:
            faults = shrink(faults, lambda some: not soak(terms, some).holds, runs=20)
        print(f"\nbroken with seed {terms.seed} and this schedule:\n" + "\n".join(map(str, faults)))  # noqa: T201 - its failure
    return 0 if outcome.holds else 1


if __name__ == "__main__":
    sys.exit(main())
