"""The fault rig itself: its checker sees every kind of harm, its links break as they say, its schedules shrink."""

import inspect
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.jobs import Cause, Job, JobStatus
from headrace.keys import Keys
from headrace.model_ref import ModelRef
from headrace.tiers import Tier
from tests.faults.audit import HandOver, Story, read_audit
from tests.faults.checker import INVARIANTS, Bounds, check
from tests.faults.evidence import Evidence, Execution, Told
from tests.faults.garbage import our_keys
from tests.faults.history import History
from tests.faults.nemesis import make_schedule
from tests.faults.proxy import Link, Way
from tests.faults.shrink import shrink
from tests.faults.submitter import Question

M = "default/one"
FENCE = 1_000
PID = 77
PROGRESS = Told("job.progress", ("one-1",), 11_600, 11)
END = Told("job.succeeded", ("one-2",), 12_000, 12)


def sound() -> Evidence:
    """One job that was claimed once, ran once, succeeded and was told."""
    job = Job(
        id="one",
        tenant="default",
        ref=ModelRef("exact", 1),
        tier=Tier.STANDARD,
        status=JobStatus.SUCCEEDED,
        fence=FENCE,
        attempts=1,
        max_attempts=3,
        score=0,
        created_ms=10_000,
        ended_ms=12_000,
        has_webhook=True,
        next_seq=2,
    )
    story = Story([HandOver(FENCE, f"host:{PID}:abc", 11_000)], [JobStatus.QUEUED, JobStatus.SUCCEEDED], FENCE, FENCE)
    return Evidence(
        questions={M: Question(x=3, hook="http://127.0.0.1/")},
        jobs={M: job},
        outputs={M: b"10"},
        stories={M: story},
        executions=[Execution(3, PID, 11_500)],
        told={M: {1: PROGRESS, 2: END}},
        indexed=frozenset({M}),
        leftovers={"leases": 0},
        connections=(5, 5),
    )


def with_job(**changes: object) -> Evidence:
    evidence = sound()
    return replace(evidence, jobs={M: evidence.jobs[M]._replace(**changes)})  # type: ignore[arg-type] # fields by name


def with_story(**changes: object) -> Evidence:
    evidence = sound()
    return replace(evidence, stories={M: replace(evidence.stories[M], **changes)})  # type: ignore[arg-type] # fields by name


TWICE = [HandOver(FENCE, f"host:{PID}:abc", 11_000)] * 2
HARM: dict[str, list[Callable[[], Evidence]]] = {
    "I1": [
        lambda: with_job(status=JobStatus.RUNNING),
        lambda: with_story(states=[JobStatus.QUEUED, JobStatus.SUCCEEDED, JobStatus.SUCCEEDED]),
    ],
    "I2": [lambda: replace(sound(), outputs={M: b"11"}), lambda: replace(sound(), outputs={M: None})],
    "I3": [
        lambda: replace(with_story(states=[JobStatus.QUEUED]), jobs={}),
        lambda: replace(sound(), indexed=frozenset({M, "default/two"})),
        lambda: replace(sound(), erased=frozenset({M})),
        lambda: replace(sound(), erased=frozenset({M}), indexed=frozenset(), remaining=frozenset({M})),
    ],
    "I4": [lambda: with_story(states=[JobStatus.SUCCEEDED, JobStatus.QUEUED])],
    "I5": [
        lambda: with_story(hand_overs=TWICE),
        lambda: with_story(final_fence=FENCE + 1),
        lambda: replace(sound(), executions=[Execution(3, PID, 11_500), Execution(3, PID, 11_600)]),
    ],
    "I6": [
        lambda: replace(sound(), told={}),
        lambda: replace(sound(), told={M: {1: PROGRESS}}),
        lambda: replace(sound(), told={M: {2: END}}),
        lambda: replace(sound(), told={M: {1: PROGRESS, 2: END._replace(webhook_ids=("a", "b"))}}),
        lambda: replace(sound(), told={M: {1: PROGRESS._replace(bodies=2), 2: END}}),
    ],
    "I7": [
        lambda: replace(sound(), told={M: {1: PROGRESS, 2: END._replace(first_s=11)}}),
        lambda: replace(sound(), told={M: {1: PROGRESS, 2: END._replace(at_ms=11_900)}}),
        lambda: replace(sound(), told={M: {1: PROGRESS._replace(first_s=10), 2: END}}),
        lambda: replace(sound(), told={M: {1: PROGRESS._replace(at_ms=12_001, first_s=13), 2: END}}),
        lambda: replace(sound(), told={M: {1: PROGRESS, 2: PROGRESS}}),
        lambda: replace(sound(), told={M: {1: END, 2: END}}),
    ],
    "I9": [lambda: with_job(status=JobStatus.FAILED, cause=Cause.WORKER_LOST)],
    "I10": [
        lambda: with_job(attempts=4),
        lambda: replace(sound(), questions={M: Question(x=3, act="raise")}),
    ],
    "I11": [lambda: replace(sound(), leftovers={"leases": 1})],
    "I13": [lambda: replace(sound(), connections=(5, 6))],
    "I14": [lambda: with_job(ended_ms=20_000)],
    "I15": [
        lambda: replace(sound(), usage={"accepted": (1, 1), "succeeded": (2, 1)}),
        lambda: replace(sound(), usage={"accepted": (1, 1), "succeeded": (0, 1)}),
        lambda: replace(sound(), usage={"accepted": (1, 1), "gpu_us": (2, 1)}),
    ],
}
BOUNDS = Bounds(ended_within_s=5, runs_once_a_fence=True)


def test_the_checker_finds_nothing_where_nothing_is_wrong() -> None:
    assert [] == [verdict for verdict in check(sound(), BOUNDS) if verdict.violations]


@pytest.mark.parametrize("name", HARM)
def test_the_checker_sees_each_harm(name: str) -> None:
    for harmed in HARM[name]:
        broken = [verdict.name for verdict in check(harmed(), BOUNDS) if verdict.violations]

        assert name in broken


def test_every_invariant_is_checked_or_says_why_not() -> None:
    skipped = {name for name, (_, invariant) in INVARIANTS.items() if isinstance(invariant, str)}

    assert set(INVARIANTS) == set(HARM) | skipped
    assert {"I8", "I12"} == skipped


def test_the_audit_reads_every_change_and_passes_over_a_torn_end(tmp_path: Path) -> None:
    record = Keys(cell="c1").job(M)
    rows = [
        ("HSET", record, "s", "queued", "f", "0"),
        ("HSET", record, "f", "9", "w", f"host:{PID}:abc", "l", "11000"),
        ("HSET", record, "s", "succeeded", "e", "12000"),
    ]
    folder = tmp_path / "appendonlydir"
    folder.mkdir()
    (folder / "a.aof.1.incr.aof").write_bytes(
        b"".join(map(_packed, rows)) + _packed(("HSET", record, "s", "failed"))[:-9]
    )

    stories = read_audit(tmp_path, Keys(cell="c1"))

    expected = Story([HandOver(9, f"host:{PID}:abc", 11_000)], [JobStatus.QUEUED, JobStatus.SUCCEEDED], 9, 9)
    assert {M: expected} == stories


def _packed(words: Sequence[str]) -> bytes:
    return f"*{len(words)}\r\n".encode() + b"".join(f"${len(word)}\r\n{word}\r\n".encode() for word in words)


def test_a_schedule_shrinks_to_what_fails() -> None:
    def fails(some: Sequence[int]) -> bool:
        return 3 in some and 17 in some

    assert [3, 17] == shrink(range(40), fails, runs=500)


def test_a_schedule_is_made_by_its_seed_alone() -> None:
    first, again, other = (make_schedule(seed=seed, lasts_s=60, kill_every_s=3, redis_every_s=20) for seed in (5, 5, 6))

    assert first == again
    assert first != other
    assert [20.0, 40.0, 60.0] == [fault.at_s for fault in first if fault.kind == "redis"]
    assert {"worker", "child", "api", "scheduler", "courier", "redis"} == {fault.kind for fault in first}


def test_a_history_is_read_as_it_was_written(tmp_path: Path) -> None:
    history = History(tmp_path / "history.jsonl")
    history.note("accepted", member=M)
    history.note("fault", kind="api")

    assert [{"kind": "api"}] == [event.fields for event in history.events("fault")]
    assert ["accepted", "fault"] == [event.what for event in history.events()]
    history.close()


@pytest.fixture
def link() -> Iterator[Link]:
    """A link to a server that says everything back."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_echo_forever, args=(listener,), daemon=True).start()
        with Link(target_port=listener.getsockname()[1]) as link:
            yield link
        listener.shutdown(socket.SHUT_RDWR)


def _echo_forever(listener: socket.socket) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_echo, args=(connection,), daemon=True).start()


def _echo(connection: socket.socket) -> None:
    with connection:
        try:
            while data := connection.recv(1024):
                connection.sendall(data)
        except OSError:
            return


def test_a_link_passes_everything_on(link: Link) -> None:
    with _connected(link) as client:
        assert b"hello" == _asked(client, b"hello")


@pytest.mark.parametrize("ways", [(), (Way.TO_CLIENT,), (Way.TO_SERVER,)])
def test_what_a_link_holds_arrives_after_it_is_healed(link: Link, ways: tuple[Way, ...]) -> None:
    with _connected(link) as client:
        assert b"a" == _asked(client, b"a")

        link.hold(*ways)
        client.sendall(b"b")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(10)
        link.heal()

        client.settimeout(10)
        assert b"b" == client.recv(10)


def test_a_link_resets_its_connections_and_takes_new_ones(link: Link) -> None:
    with _connected(link) as client:
        assert b"a" == _asked(client, b"a")
        link.reset()
        with pytest.raises(ConnectionResetError):
            client.recv(10)

    with _connected(link) as client:
        assert b"b" == _asked(client, b"b")


def test_an_abandoned_connection_stays_silent_and_new_ones_pass(link: Link) -> None:
    with _connected(link) as client, _connected(link) as other:
        assert b"a" == _asked(client, b"a")
        assert b"a" == _asked(other, b"a")
        link.abandon()
        client.sendall(b"b")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(10)

        with _connected(link) as fresh:
            assert b"c" == _asked(fresh, b"c")


def test_a_link_is_cut_after_so_many_bytes(link: Link) -> None:
    with _connected(link) as client:
        assert b"a" == _asked(client, b"a")
        link.cut_after(5, Way.TO_CLIENT)
        assert b"12345" == _asked(client, b"12345")
        client.sendall(b"6")
        with pytest.raises(ConnectionResetError):
            client.recv(10)


def _connected(link: Link) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=10)


def _asked(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    return client.recv(len(data))


def test_garbage_reaches_every_kind_of_key() -> None:
    kinds = [name for name, _ in inspect.getmembers(Keys) if not name.startswith("_")]

    reached = dict(our_keys(Keys(), group="exact@1:standard"))

    assert set(kinds) - {"cell", "prefix"} == set(reached)
