"""Links that break without a word, half-way, or in one direction, between one process and Redis."""

import time
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import pytest

from tests.faults.cluster import poll
from tests.faults.proxy import Link, Way
from tests.faults.rig import Rig

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

#: Longer than a lease, the reaping after it, and the time in which a silent peer is noticed.
HOLD_S = 5.0
#: What the link of one process is done to. Momentary ones are over at once.
FAULTS: Mapping[str, Callable[[Link], None]] = MappingProxyType(
    {
        "black hole": lambda link: link.hold(),
        "answers are lost": lambda link: link.hold(Way.TO_CLIENT),
        "requests are lost": lambda link: link.hold(Way.TO_SERVER),
        "reset": lambda link: link.reset(),
        "cut in an answer": lambda link: link.cut_after(700, Way.TO_CLIENT),
        "cut in a request": lambda link: link.cut_after(300, Way.TO_SERVER),
        "slow": lambda link: link.delay(0.2),
    }
)
CASES = [
    *(("w0", fault) for fault in FAULTS),
    *(("api", fault) for fault in ("black hole", "answers are lost", "reset")),
    *(("scheduler0", fault) for fault in ("black hole", "answers are lost", "reset")),
]


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One worker, one scheduler and the API behind links; the other worker and scheduler reach Redis directly."""
    rig = Rig(tmp_path_factory.mktemp("partitions"), proxied=("api", "scheduler0", "w0"))
    yield rig
    rig.close()


@pytest.mark.parametrize(("role", "fault"), CASES)
def test_a_process_that_is_cut_off_from_redis_harms_no_job_and_comes_back(rig: Rig, role: str, fault: str) -> None:
    rig.begin()
    before = rig.fleet.pids

    with rig.load(sleep_ms=20):
        rig.until("some have ended", lambda: len(rig.questions) > 10)
        FAULTS[fault](rig.links[role])
        time.sleep(HOLD_S)
        if role != "api":
            # What was accepted till now ends while the process is still cut off.
            held = list(rig.questions)
            rig.until("others take over", lambda: not set(rig.open_jobs()) & set(held))
        rig.links[role].heal()
        poll("all serve again", rig.fleet.serves_everything, limit_s=60)

    rig.verify()
    assert before == rig.fleet.pids


def test_an_idle_worker_notices_that_nobody_is_there_any_more(rig: Rig) -> None:
    rig.begin()
    before = rig.fleet.pids
    log = rig.fleet.roles["w0"].service.log
    known_bytes = log.stat().st_size

    rig.links["w0"].abandon()
    poll("noticed", lambda: b"no answer from Redis" in log.read_bytes()[known_bytes:], limit_s=60)

    poll("all serve again", rig.fleet.serves_everything, limit_s=60)
    rig.submit(rig.questions_of(24))
    rig.finish()
    rig.verify()
    assert before == rig.fleet.pids
