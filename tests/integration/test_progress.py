"""A model that says how far its jobs are, in real processes: in the record, and told to whoever asked for it."""

from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pytest

from headrace.endpoints import Event, letters_of
from headrace.jobs import JobStatus
from tests.integration.engine_rig import wait_until
from tests.integration.receivers import Receiver
from tests.integration.running_worker import LIMIT_S, RunningWorker
from tests.integration.submitting import submit_words

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

#: Says how far it is, very often, while the file named by its input is there; of how far, the file tells.
SOURCE = '''
from pathlib import Path
from headrace.model import Model

class Steps(Model, max_batch=8):
    """Says what stands in the file."""

    def forward(self, batch: list[str]) -> list[str]:
        for place, name in enumerate(batch):
            fraction = 0.0
            while (text := self.read(Path(name))) is not None:
                fraction = float(text or fraction)
                self.progress(place, fraction, f"at {fraction}")
        return batch

    def read(self, file: Path) -> str | None:
        try:
            return file.read_text()
        except FileNotFoundError:
            return None
'''

ASKED = letters_of(frozenset({Event.STARTED, Event.PROGRESS, Event.SUCCEEDED}))


class SteppingWorker(RunningWorker):
    """Serves it, with a courier beside it."""

    source: ClassVar[str] = SOURCE

    def begin(self, name: str, **fields: Any) -> tuple[str, Path]:
        """Have a pass begin that says it is at a quarter; answers the job and the file."""
        file = self.folder / name
        file.write_text("0.25")
        [member] = submit_words(self.redis, self.store, self.ref, [str(file)], **fields)
        self.wait_for(member, 0.25)
        return member, file

    def wait_for(self, member: str, fraction: float) -> None:
        """Wait until the record says so."""
        wait_until(lambda: self.progress(member) == (fraction, f"at {fraction}"), limit_s=LIMIT_S)

    def progress(self, member: str) -> tuple[float, str] | None:
        progress = self.job(member).progress
        return progress and (progress.fraction, progress.message)


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SteppingWorker]:
    networks = (IPv4Network("127.0.0.0/8"),)
    worker = SteppingWorker(tmp_path_factory.mktemp("steps"), progress_interval_s=0.2, webhook_allow_networks=networks)
    worker.start_courier()
    yield worker
    worker.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def events(receiver: Receiver) -> list[dict[str, Any]]:
    """What was heard, in the order of its numbers, each event once."""
    found = {heard.headers["webhook-id"]: orjson.loads(heard.body) for heard in list(receiver.heard)}
    return sorted(found.values(), key=lambda event: int(event["data"]["seq"]))


def kinds(receiver: Receiver) -> list[str]:
    return [event["type"] for event in events(receiver)]


def test_how_far_a_job_is_stands_in_its_record_and_stays_there(worker: SteppingWorker) -> None:
    member, file = worker.begin("seen")

    file.write_text("0.75")
    worker.wait_for(member, 0.75)
    file.unlink()

    assert [JobStatus.SUCCEEDED] == worker.finish(member)
    assert (0.75, "at 0.75") == worker.progress(member)


def test_who_asks_for_it_is_told_start_progress_and_end_under_rising_numbers(
    worker: SteppingWorker, receiver: Receiver
) -> None:
    member, file = worker.begin("told", webhook_url=receiver.url, webhook_letters=ASKED)
    wait_until(lambda: "job.progress" in kinds(receiver), limit_s=LIMIT_S)
    file.write_text("0.75")
    wait_until(lambda: events(receiver)[-1]["data"]["job"]["progress"]["fraction"] == 0.75, limit_s=LIMIT_S)

    file.unlink()
    worker.finish(member)
    wait_until(lambda: "job.succeeded" in kinds(receiver), limit_s=LIMIT_S)

    told = events(receiver)
    assert ("job.started", "job.succeeded") == (told[0]["type"], told[-1]["type"])
    assert {"job.progress"} == {event["type"] for event in told[1:-1]}
    assert list(range(1, len(told) + 1)) == [event["data"]["seq"] for event in told]
    said = [event["data"]["job"]["progress"] for event in told[1:-1]]
    assert ("at 0.25", "at 0.75") == (said[0]["message"], said[-1]["message"])
    assert sorted(word["at"] for word in said) == [word["at"] for word in said]
    assert {"running"} == {event["data"]["job"]["status"] for event in told[:-1]}


def test_who_does_not_ask_for_it_is_told_the_end_alone(worker: SteppingWorker, receiver: Receiver) -> None:
    member, file = worker.begin("quiet", webhook_url=receiver.url)

    file.unlink()
    worker.finish(member)
    wait_until(lambda: bool(receiver.heard), limit_s=LIMIT_S)

    assert ["job.succeeded"] == kinds(receiver)
    assert 1 == events(receiver)[0]["data"]["seq"]


def test_a_receiver_that_does_not_answer_delays_no_end(worker: SteppingWorker, receiver: Receiver) -> None:
    receiver.answers.clear()
    member, file = worker.begin("hangs", webhook_url=receiver.url, webhook_letters=ASKED)
    file.write_text("0.5")
    worker.wait_for(member, 0.5)

    file.unlink()

    assert [JobStatus.SUCCEEDED] == worker.finish(member)
    receiver.answers.set()
    wait_until(lambda: "job.succeeded" in kinds(receiver), limit_s=LIMIT_S)
