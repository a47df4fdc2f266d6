"""The kill matrix: a process dies, or stands still for longer than a lease, at every step of a job's way."""

import functools
import itertools
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType

import pytest

from headrace.client import Client
from headrace.endpoint_store import EndpointStore
from headrace.endpoints import ENDS, Endpoint, Include, new_endpoint_id
from headrace.environments import as_environment
from headrace.failpoints import FAILPOINTS
from headrace.tiers import Tier
from headrace.webhooks import new_secret
from tests.faults.cluster import MODEL_FOLDER
from tests.faults.ledger import TENANT
from tests.faults.rig import Rig
from tests.faults.submitter import Submitter, amended

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

JOBS = 24
HOOKS = 4
#: Long enough that the start of a pass is recorded.
SLEEP_MS = 30
#: Long enough to be caught in a pass.
LONG_MS = 200
#: Long enough that it is told, word by word, how far a pass is.
SAID_IN_MS, WORDS = 500, 5
#: Longer than a lease and the reaping after it.
STOP_S = 3.0
ACTS = ("kill9", f"stop({STOP_S:g})")
PUSHING = ("registry.files_put", "registry.manifest_put")
#: Killed there by `tests/integration/test_fetch.py`: a model of these tests is too small to come in parts.
FETCHING = ("registry.part_written",)
_KILL_AGAIN_S = 20.0
#: More than one script stores.
MANY = 120
#: Jobs that surely wait while they are changed and deleted, and how long; others are taken meanwhile.
WAITING, LATER_S = 6, 4


def _end_a_worker(rig: Rig) -> None:
    """Have a worker drain while its batch runs."""
    rig.until("a pass runs", lambda: rig.fleet.froze_child_in_a_pass("w0"))
    os.kill(rig.fleet.pids["w0"], signal.SIGTERM)
    rig.fleet.let_children_go_on()


def _end_a_worker_without_a_child(rig: Rig) -> None:
    """Have a worker drain that holds jobs of which none runs."""
    rig.until("a pass runs", lambda: rig.fleet.froze_child_in_a_pass("w0"))
    rig.fleet.kill_child("w0")
    os.kill(rig.fleet.pids["w0"], signal.SIGTERM)


def _kill_a_worker(rig: Rig) -> None:
    """Leave leases behind that must be reaped."""
    rig.until("a pass runs", lambda: rig.fleet.froze_child_in_a_pass("w0"))
    rig.fleet.kill("w0")


def _kill_a_child(rig: Rig) -> None:
    """Have another child load the model; a kill may meet nobody."""
    killed_at = -math.inf

    def loads() -> bool:
        nonlocal killed_at
        if time.monotonic() - killed_at > _KILL_AGAIN_S and rig.fleet.kill_child("w0") is not None:
            killed_at = time.monotonic()
        return rig.cluster.fired("child.before_load") is not None

    rig.until("another child loads", loads)


#: What makes a process reach a step that the way of a job does not pass.
TRIGGERS: Mapping[str, Callable[[Rig], None]] = MappingProxyType(
    {
        "worker.draining": _end_a_worker,
        "worker.before_release": _end_a_worker_without_a_child,
        "scheduler.reaped": _kill_a_worker,
        "child.before_load": _kill_a_child,
    }
)


def _hand_in_many(rig: Rig, caller: Submitter) -> None:
    """Have more jobs stored than one script takes."""
    caller.submit_many(rig.questions_of(MANY, sleep_ms=2))


def _change_some(rig: Rig, caller: Submitter) -> None:
    """Move jobs to another tier, some of which may be taken meanwhile."""
    for member in _some(rig, caller):
        caller.amend(member, Tier.SPOT)


def _delete_some(rig: Rig, caller: Submitter) -> None:
    """Delete jobs, some of which may be in a pass or have ended."""
    for member in _some(rig, caller):
        caller.erase(member)


def _some(rig: Rig, caller: Submitter) -> list[str]:
    waiting = rig.questions_of(WAITING, later_s=LATER_S)
    members = caller.submit_many([*waiting, *rig.questions_of(JOBS - WAITING, sleep_ms=LONG_MS)])
    return [*members[: WAITING - 1], *members[WAITING::4]]


#: What a caller does that makes the API reach a step that handing one job in does not pass.
CALLS: Mapping[str, Callable[[Rig, Submitter], None]] = MappingProxyType(
    {
        "api.bulk_read": _hand_in_many,
        "api.bulk_piece": _hand_in_many,
        "api.bulk_stored": _hand_in_many,
        "api.before_amend": _change_some,
        "api.amended": _change_some,
        "api.before_erase": _delete_some,
        "api.erased": _delete_some,
    }
)
#: Of a courier that sends what the owner of a receiver asked for.
TESTING = ("courier.test_taken", "courier.tested")
#: Of a model that says how far its jobs are, and of a courier that tells it: what it tells first is that.
SAYING = ("child.before_progress", "worker.before_progress", "worker.progressed")
TELLING = tuple(step for step in FAILPOINTS if step.startswith("courier.") and step not in TESTING)
STEPS = [step for step in FAILPOINTS if step not in (*PUSHING, *FETCHING, *CALLS, *TESTING, *SAYING)]


@pytest.fixture(scope="module")
def recoveries(figure: Callable[[str], None]) -> Iterator[dict[str, float]]:
    """Seconds from the fault to the end of the last job, by act and step; the worst of each act are printed."""
    found: dict[str, float] = {}
    yield found
    for act in ACTS:
        rows = sorted((seconds, name) for name, seconds in found.items() if name.startswith(act))
        if rows:
            worst_s, name = rows[-1]
            figure(f"{act} at {len(rows)} steps: worst recovery {worst_s:.2f} s ({name}), median {_median(rows):.2f} s")


def _median(rows: list[tuple[float, str]]) -> float:
    return statistics.median(seconds for seconds, _ in rows)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(tmp_path_factory.mktemp("matrix"), with_courier=True)
    yield rig
    rig.close()


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_lost_wherever_a_process_dies_or_stands_still(
    rig: Rig, recoveries: dict[str, float], step: str, act: str
) -> None:
    rig.begin()
    rig.cluster.arm(step, f"{act}@2" if step == "worker.committed" else act)

    submitting = rig.submitting(rig.questions_of(JOBS, hooks=HOOKS, sleep_ms=LONG_MS if step in TRIGGERS else SLEEP_MS))
    if step in TRIGGERS:
        TRIGGERS[step](rig)
    rig.until(f"{step} reached", lambda: rig.cluster.fired(step) is not None)
    rig.finish(submitting)

    evidence = rig.verify()
    assert len(evidence.questions) == JOBS
    recoveries[f"{act} at {step}"] = rig.recovery_s(step, evidence)


@pytest.mark.parametrize(("step", "act"), [*itertools.product(SAYING, ACTS), *((step, "kill9") for step in TELLING)])
def test_every_word_of_how_far_a_job_is_that_was_counted_is_told_and_its_end_after_them(
    rig: Rig, recoveries: dict[str, float], step: str, act: str
) -> None:
    rig.begin()
    rig.cluster.arm(step, act)

    submitting = rig.submitting(rig.questions_of(HOOKS, hooks=HOOKS, sleep_ms=SAID_IN_MS, steps=WORDS))
    rig.until(f"{step} reached", lambda: rig.cluster.fired(step) is not None)
    rig.finish(submitting)

    evidence = rig.verify()
    told = [event for events in evidence.told.values() for event in events.values()]
    assert len(evidence.questions) == HOOKS == sum(event.event == "job.succeeded" for event in told)
    assert HOOKS < len(told)
    recoveries[f"{act} at {step}"] = max(recoveries.get(f"{act} at {step}", 0.0), rig.recovery_s(step, evidence))


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("step", CALLS)
def test_nothing_is_lost_wherever_the_api_dies_while_many_are_handed_in_changed_or_deleted(
    rig: Rig, recoveries: dict[str, float], step: str, act: str
) -> None:
    rig.begin()
    rig.cluster.arm(step, act)

    calling = rig.doing(functools.partial(CALLS[step], rig))
    rig.until(f"{step} reached", lambda: rig.cluster.fired(step) is not None)
    rig.finish(calling)

    evidence = rig.verify()
    moved = {member: tier for member, tier in amended(rig.history).items() if member in evidence.questions}
    assert moved == {member: evidence.jobs[member].tier for member in moved}
    assert len(evidence.questions) == (MANY if CALLS[step] is _hand_in_many else JOBS)
    assert bool(evidence.erased) == (CALLS[step] is _delete_some)
    if CALLS[step] is _hand_in_many:  # else the last job waits for its time
        recoveries[f"{act} at {step}"] = rig.recovery_s(step, evidence)


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("step", TESTING)
def test_a_test_that_its_courier_does_not_survive_says_so_and_is_made_anew(rig: Rig, step: str, act: str) -> None:
    rig.begin()
    endpoint_id = _register(rig)
    rig.cluster.arm(step, act)

    submitting = rig.submitting(rig.questions_of(HOOKS, hooks=HOOKS))
    with Client(rig.cluster.settings.url) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.test_webhook, endpoint_id)
        rig.until(f"{step} reached", lambda: rig.cluster.fired(step) is not None)
        rig.until("the test is over", first.done)
        rig.finish(submitting)
        rig.until("a test arrives", lambda: client.test_webhook(endpoint_id)["delivered"])

    said = first.result()
    assert said["delivered"] == (said["outcome"] == "http_204")
    if act == "kill9":
        assert "no_answer" == said["outcome"]
    rig.verify()


def _register(rig: Rig) -> str:
    """Have the receiver registered; no key is set, so its secret is as it is."""
    endpoint = Endpoint(
        id=new_endpoint_id(),
        url=rig.receiver.url,
        events=ENDS,
        include=Include.LINK,
        secret=new_secret(),
        created_ms=1,
    )
    rig.cluster.redis.run(EndpointStore(rig.cluster.store.keys).put(TENANT, endpoint))
    return endpoint.id


@pytest.mark.parametrize("step", PUSHING)
def test_a_push_that_dies_half_way_is_pushed_again(rig: Rig, step: str) -> None:
    rig.begin()
    name = f"pushed-{PUSHING.index(step)}"
    rig.cluster.arm(step, "kill9")
    push = [sys.executable, "-m", "registry", "push", str(MODEL_FOLDER), "--name", name]
    environment = {
        **os.environ,
        **as_environment(rig.cluster.settings),
        "HEADRACE_FAILPOINTS": f"@{rig.cluster.armed}",
    }

    died = subprocess.run(push, env=environment, capture_output=True, check=False)
    half = rig.cluster.registry.releases()
    again = subprocess.run(push, env=environment, capture_output=True, check=False)

    assert died.returncode == -signal.SIGKILL, died.stderr
    assert again.returncode == 0, again.stderr
    assert name not in half
    assert [1] == rig.cluster.registry.versions(name)
    assert {1: 100} == dict(rig.cluster.registry.releases()[name].traffic.shares)
