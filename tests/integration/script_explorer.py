"""Every interleaving of scripts: two jobs, two workers that may crash, stall, or never hear an answer. Breadth first.

The server is the state: it is dumped, put back, and one more script is run on it; all steps from one state go over the
wire together. Fences and times are forgotten where only their order matters, so the states are finitely many.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from headrace.jobs import Cause, Job, JobStatus, Lease
from headrace.keys import Keys
from headrace.redis_op import RedisOp
from headrace.store import JobStore
from headrace.store_work import Claimed, ClaimSize, CommitAnswer, Failure, Outcome
from headrace.sync_redis import SyncRedis
from tests.integration.script_cell import STANDARD, TTL_S, new_job
from tests.integration.script_ledger import most_attempts, require

JOBS = ("default/a", "default/b")
WORKERS = ("w1", "w2")
#: What the two jobs are submitted with: something of their own each, or nothing that would make them other than plain.
SPECIAL: tuple[dict[str, Any], ...] = ({"deadline_ms": 10**14, "max_attempts": 2}, {"retry_on": (), "max_attempts": 2})
PLAIN: tuple[dict[str, Any], ...] = ({"max_attempts": 1}, {"max_attempts": 1})
#: A worker holds no more leases than this, its lost ones among them.
_MOST_HELD = 2

_PUT_BACK = """
for _, key in ipairs(redis.call('KEYS', '*')) do redis.call('DEL', key) end
for i = 1, #ARGV, 2 do redis.call('RESTORE', ARGV[i], 0, ARGV[i + 1]) end
"""
_LOOK = """
local seen, dump = {}, {}
for i = 1, 2 do seen[#seen + 1] = redis.call('HGETALL', KEYS[i]) end
for i = 3, 4 do seen[#seen + 1] = redis.call('GET', KEYS[i]) end
for i = 5, 7 do seen[#seen + 1] = redis.call('ZRANGE', KEYS[i], 0, -1) end
for _, key in ipairs(redis.call('KEYS', '*')) do
  dump[#dump + 1] = key
  dump[#dump + 1] = redis.call('DUMP', key)
end
seen[#seen + 1] = dump
return seen
"""
_LAPSE = "for _, m in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZADD', KEYS[1], 1, m) end"
_PASS = "redis.call('HSET', KEYS[1], 'd', 1) redis.call('ZADD', KEYS[2], 1, ARGV[1])"


class Held(NamedTuple):
    """What a worker remembers of a claim."""

    lease: Lease
    has_begun: bool


Memories: TypeAlias = tuple[tuple[Held, ...], tuple[Held, ...]]


class World(NamedTuple):
    """A state of everything: the server's keys, and what each worker remembers."""

    memories: Memories
    jobs: tuple[Job, Job]
    outputs: tuple[bytes | None, bytes | None]
    ready: tuple[str, ...]
    deadlines: tuple[str, ...]
    leases: tuple[str, ...]
    #: Keys, each followed by what it holds.
    dump: tuple[bytes, ...]

    def job_of(self, lease: Lease) -> Job:
        """The record that a lease is about."""
        return self.jobs[JOBS.index(lease.member)]

    def is_held(self, lease: Lease) -> bool:
        """Tell whether what is sent under a lease must count."""
        job = self.job_of(lease)
        is_open = job.status in (JobStatus.QUEUED, JobStatus.RUNNING)
        return is_open and job.fence == lease.fence and job.worker is not None


#: What the last answer of a step makes of the workers' memories.
Settle: TypeAlias = Callable[[World, Any], Memories]


class Step(NamedTuple):
    """Something that may happen."""

    name: str
    ops: tuple[RedisOp[Any], ...]
    settle: Settle = lambda world, _: world.memories


class Explorer:
    """Walks through every state that can be reached from two jobs that wait.

    Args:
        connection: to a database that holds nothing else.
        keys: of the cell.
        fields: what the jobs are submitted with.
    """

    def __init__(self, connection: SyncRedis, keys: Keys, fields: Sequence[dict[str, Any]]) -> None:
        self._connection = connection
        self._keys = keys
        self._fields = fields
        self._store = JobStore(keys)
        self.states = 0
        self.transitions = 0

    def explore(self, *, most_states: int) -> bool:
        """Visit at most so many states; answers whether those were all.

        Raises:
            Violation: if a promise does not hold, with the steps that lead there.
        """
        first = self._start()
        seen = {signature_of(first)}
        paths: deque[tuple[World, tuple[str, ...]]] = deque([(first, ())])
        while paths and self.states < most_states:
            world, path = paths.popleft()
            self.states += 1
            for name, after in self._successors(world, path):
                if (signature := signature_of(after)) not in seen:
                    seen.add(signature)
                    paths.append((after, (*path, name)))
        return not paths

    def _start(self) -> World:
        self._connection.client.flushdb()
        jobs = [new_job(job_id, **fields) for job_id, fields in zip("ab", self._fields, strict=True)]
        self._connection.run_all([self._store.submit(job, cap=10) for job in jobs])
        return self._world(((), ()), self._connection.run(self._look()))

    def _successors(self, world: World, path: tuple[str, ...]) -> list[tuple[str, World]]:
        steps = [*self._steps(world), self._end()]
        answers = iter(self._connection.run_all([op for step in steps for op in self._framed(world, step)]))
        worlds = []
        for step in steps:
            *_, answer, seen = [next(answers) for _ in range(len(step.ops) + 2)]
            try:
                after = self._world(step.settle(world, answer), seen)
                verify(world, after)
                if step is steps[-1]:
                    verify_end(after)
            except AssertionError as error:
                raise type(error)(f"{error}; after: {' > '.join((*path, step.name))}") from error
            worlds.append((step.name, after))
        self.transitions += len(worlds)
        return worlds[:-1]

    def _framed(self, world: World, step: Step) -> list[RedisOp[Any]]:
        return [_eval(_PUT_BACK, (), world.dump), *step.ops, self._look()]

    def _look(self) -> RedisOp[Any]:
        keys = self._keys
        sets = (keys.ready(STANDARD, "default"), keys.deadlines, keys.leases)
        return _eval(_LOOK, (*map(keys.job, JOBS), *map(keys.output, JOBS), *sets))

    @staticmethod
    def _world(memories: Memories, seen: Any) -> World:
        *records, one, two, ready, deadlines, leases, dump = seen
        jobs = [Job.from_record(member, _record(reply)) for member, reply in zip(JOBS, records, strict=True)]
        return World(
            memories, (jobs[0], jobs[1]), (one, two), _texts(ready), _texts(deadlines), _texts(leases), tuple(dump)
        )

    # --- steps ----------------------------------------------------------------------------------------------

    def _steps(self, world: World) -> Iterator[Step]:
        yield Step("reap", (self._lapse(), self._reap()))
        yield Step("cancel b", (self._store.cancel(JOBS[1], result_ttl_s=TTL_S),))
        if world.jobs[0].deadline_ms and not world.jobs[0].status.is_terminal:
            pass_deadline = _eval(_PASS, (self._keys.job(JOBS[0]), self._keys.deadlines), (JOBS[0],))
            yield Step("expire a", (pass_deadline, self._store.expire(limit=9, result_ttl_s=TTL_S)))
        for number, memory in enumerate(world.memories):
            if len(memory) < _MOST_HELD:
                yield Step(f"{WORKERS[number]} claims", (self._claim(WORKERS[number]),), _claimed(number))
            if memory:
                yield Step(f"{WORKERS[number]} crashes", (), _crashed(number))
            for held in memory:
                yield from self._steps_of(number, held)

    def _steps_of(self, number: int, held: Held) -> Iterator[Step]:
        worker, (member, _) = WORKERS[number], held.lease
        commit = self._commit(held.lease)
        if not held.has_begun:
            yield Step(f"{worker} starts {member}", (self._store.start([held.lease]),), _begun(number, held))
        yield Step(f"{worker} commits {member}", (commit,), _committed(number, held, hears=True))
        yield Step(f"{worker} commits {member}, unheard", (commit,), _committed(number, held, hears=False))
        failure = Failure(held.lease, Cause.MODEL, 0, b"{}")
        fail = self._store.fail([failure], result_ttl_s=TTL_S)
        yield Step(f"{worker} fails {member}", (fail,), _committed(number, held, hears=True))
        yield Step(f"{worker} releases {member}", (self._store.release([held.lease]),), _released(number, held))

    def _end(self) -> Step:
        """What leads out of every state: the leases run out, and a worker that does not fail takes everything."""
        return Step("the end", (self._lapse(), self._reap(), self._claim("w3", jobs=2)))

    def _lapse(self) -> RedisOp[Any]:
        return _eval(_LAPSE, (self._keys.leases,))

    def _reap(self) -> RedisOp[Any]:
        return self._store.reap(limit=9, result_ttl_s=TTL_S)

    def _claim(self, worker: str, *, jobs: int = 1) -> RedisOp[Claimed]:
        size = ClaimSize(jobs, jobs, 10**6, 0)
        return self._store.claim(worker=worker, groups=[STANDARD], size=size, lease_ms=60_000)

    def _commit(self, lease: Lease) -> RedisOp[Any]:
        outcome = Outcome(lease, JobStatus.SUCCEEDED, None, body_of(lease))
        return self._store.commit([outcome], ran_ms=1, result_ttl_s=TTL_S)


# --- what answers mean to a worker ------------------------------------------------------------------------------


def _remember(world: World, number: int, memory: tuple[Held, ...]) -> Memories:
    one, two = world.memories
    return (memory, two) if number == 0 else (one, memory)


def _without(world: World, number: int, held: Held) -> tuple[Held, ...]:
    return tuple(other for other in world.memories[number] if other != held)


def _claimed(number: int) -> Settle:
    def settle(world: World, answer: Claimed) -> Memories:
        new = tuple(Held(job.lease, has_begun=False) for job in answer.jobs)
        return _remember(world, number, world.memories[number] + new)

    return settle


def _crashed(number: int) -> Settle:
    return lambda world, _: _remember(world, number, ())


def _begun(number: int, held: Held) -> Settle:
    def settle(world: World, answer: list[bool]) -> Memories:
        require(answer == [world.is_held(held.lease)], f"{held.lease} began: {answer}")
        begun = (Held(held.lease, has_begun=True),) if answer[0] else ()
        return _remember(world, number, _without(world, number, held) + begun)

    return settle


def _committed(number: int, held: Held, *, hears: bool) -> Settle:
    def settle(world: World, answers: list[CommitAnswer]) -> Memories:
        is_kept, is_known = (answers == [answer] for answer in (CommitAnswer.KEPT, CommitAnswer.ALREADY_KEPT))
        require(is_kept == world.is_held(held.lease), f"{held.lease} was answered {answers}")
        require(not is_known or world.job_of(held.lease).fence == held.lease.fence, f"{held.lease} is another's")
        return _remember(world, number, _without(world, number, held)) if hears else world.memories

    return settle


def _released(number: int, held: Held) -> Settle:
    def settle(world: World, answer: int) -> Memories:
        require(answer == world.is_held(held.lease), f"{held.lease} was released: {answer}")
        return _remember(world, number, _without(world, number, held))

    return settle


# --- promises ---------------------------------------------------------------------------------------------------


def verify(before: World, after: World) -> None:
    """What holds between a state and the next.

    Raises:
        Violation: if it does not.
    """
    for old, new, was, output in zip(before.jobs, after.jobs, before.outputs, after.outputs, strict=True):
        require(not old.status.is_terminal or (old, was) == (new, output), f"{old.member} had ended and was changed")
        require(old.fence <= new.fence, f"the fence of {old.member} fell")
        require(new.attempts <= most_attempts(new), f"{new.member} was charged {new.attempts} attempts")
        if new.status is JobStatus.SUCCEEDED:
            require(output == body_of(Lease(new.member, new.fence)), f"the result of {new.member} is {output!r}")


def verify_end(world: World) -> None:
    """Nothing waits, and nothing is held by workers of before.

    Raises:
        Violation: if it is otherwise.
    """
    for job in world.jobs:
        is_taken = job.worker == "w3" and str(Lease(job.member, job.fence)) in world.leases
        require(job.status.is_terminal or is_taken, f"{job.member} would never end")


def signature_of(world: World) -> str:
    """What worlds have in common that behave alike: the workers may have changed their names."""
    return min(repr(_signature_as(world, names)) for names in (WORKERS, WORKERS[::-1]))


def _signature_as(world: World, names: Sequence[str]) -> list[object]:
    current = {str(Lease(job.member, job.fence)) for job in world.jobs}
    memories = [sorted(_remembered(held, current) for held in world.memories[WORKERS.index(name)]) for name in names]
    leases = sorted((lease.partition("#")[0], lease in current) for lease in world.leases)
    return [*(_shape(job, names) for job in world.jobs), memories, world.ready, sorted(world.deadlines), leases]


def _shape(job: Job, names: Sequence[str]) -> tuple[str, int, int]:
    worker = names.index(job.worker) if job.worker in names else -1
    # Who ended a job makes no difference any more.
    return job.status, job.attempts, min(worker, 0) if job.status.is_terminal else worker


def _remembered(held: Held, current: set[str]) -> tuple[str, bool, bool]:
    is_current = str(held.lease) in current
    return held.lease.member, is_current, held.has_begun and is_current


def body_of(lease: Lease) -> bytes:
    """The result that comes of a lease."""
    return f'"{lease}"'.encode()


def _record(reply: Sequence[bytes]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in zip(reply[::2], reply[1::2], strict=True)}


def _texts(reply: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(name.decode() for name in reply)


def _eval(script: str, keys: Sequence[str], args: Sequence[str | bytes] = ()) -> RedisOp[Any]:
    return RedisOp(lambda reply: reply, ("EVAL", script, len(keys), *keys, *args))
