"""What was submitted and what must come of it: every result equal to the function's value, every end said once."""

from collections import Counter
from collections.abc import Iterable

import orjson

from headrace.ids import new_job_id
from headrace.jobs import Job, JobStatus, NewJob
from headrace.model_ref import ModelRef
from headrace.redis_op import RedisOp, Reply
from headrace.store_submissions import SubmitOutcome
from headrace.tiers import Tier
from tests.faults.cluster import Cluster, poll

TENANT = "default"


class Ledger:
    """The jobs of one test.

    Args:
        cluster: where they run.
        ref: the exact function's version.
    """

    def __init__(self, *, cluster: Cluster, ref: ModelRef) -> None:
        self._cluster = cluster
        self._ref = ref
        self._questions: dict[str, int] = {}

    def submit(self, xs: Iterable[int], *, sleep_ms: int = 0, act: str = "answer") -> list[str]:
        """Submit one job per x; answers their members."""
        jobs = {self._new_job(x, sleep_ms, act): x for x in xs}
        answers = self._cluster.redis.run_all(self._cluster.store.submit(job, cap=100_000) for job in jobs)
        assert {SubmitOutcome.ACCEPTED} == {answer.outcome for answer in answers}
        for job, x in jobs.items():
            self.expect(job.member, x)
        return [job.member for job in jobs]

    def expect(self, member: str, x: int) -> None:
        """Take note of a job that was accepted elsewhere."""
        self._questions[member] = x

    def forget(self) -> None:
        """Begin anew; what was verified need not be verified again."""
        self._questions.clear()

    @property
    def members(self) -> list[str]:
        """Every job, oldest first."""
        return list(self._questions)

    def jobs(self) -> dict[str, Job]:
        """Every record as it is now. None may be gone."""
        records = self._cluster.redis.run_all(self._cluster.store.read(member) for member in self.members)
        found = dict(zip(self.members, records, strict=True))
        assert [member for member, job in found.items() if job is None] == []
        return {member: job for member, job in found.items() if job is not None}

    def in_state(self, status: JobStatus) -> list[Job]:
        """The jobs that are in a state now."""
        return [job for job in self.jobs().values() if job.status is status]

    def running_on(self, worker: str) -> list[Job]:
        """The jobs in a forward pass of a worker now."""
        return [job for job in self.in_state(JobStatus.RUNNING) if job.worker == worker]

    def wait_until_ended(self, members: Iterable[str] | None = None, *, limit_s: float = 40.0) -> float:
        """Wait until the jobs (all of them by default) have ended; answers the seconds it took."""
        wanted = set(self.members if members is None else members)

        def ended() -> bool:
            jobs = self.jobs()
            return all(jobs[member].status.is_terminal for member in wanted)

        return poll("all jobs ended", ended, limit_s=limit_s)

    def verify_all_succeeded(self) -> None:
        """Every job succeeded with the function's value, said so once, and holds nothing any more."""
        jobs = self.jobs()

        assert {JobStatus.SUCCEEDED: len(jobs)} == Counter(job.status for job in jobs.values())
        self.verify_answers(self.members)
        self.verify_ended_once()

    def verify_answers(self, members: Iterable[str]) -> None:
        """The results of these jobs are the function's values."""
        members = list(members)
        outputs = self._cluster.redis.run_all(self._cluster.store.output(member) for member in members)
        expected = [self._questions[member] ** 2 + 1 for member in members]

        assert expected == [orjson.loads(output or b"null") for output in outputs]

    def verify_ended_once(self) -> None:
        """Each end was committed once, and nothing is leased or waiting afterwards."""
        ends = self.ends()

        assert dict.fromkeys(self.members, 1) == {member: ends[member] for member in self.members}
        assert self.leases() == []

    def ends(self) -> Counter[str]:
        """How often the event stream says that a job ended."""
        entries = self._cluster.redis.run(RedisOp(_words, ("XRANGE", self._cluster.store.keys.events, "-", "+")))
        return Counter(
            member
            for words in entries
            for member, state in zip(words[::2], words[1::2], strict=True)
            if JobStatus(state).is_terminal
        )

    def leases(self) -> list[bytes]:
        """Every lease that is held."""
        return self._cluster.redis.run(RedisOp(list[bytes], ("ZRANGE", self._cluster.store.keys.leases, 0, -1)))

    def stat(self, name: str) -> int:
        """A counter that the scripts keep."""
        return self._cluster.redis.run(
            RedisOp(lambda reply: int(reply or 0), ("HGET", self._cluster.store.keys.stats, name))
        )

    def _new_job(self, x: int, sleep_ms: int, act: str) -> NewJob:
        return NewJob(
            id=new_job_id(cell=self._cluster.settings.cell, tenant=TENANT, key=b"test"),
            tenant=TENANT,
            ref=self._ref,
            tier=Tier.STANDARD,
            input=orjson.dumps({"x": x, "sleep_ms": sleep_ms, "act": act}),
        )


def _words(reply: Reply) -> list[list[str]]:
    return [fields[1].decode().split() for _, fields in reply]
