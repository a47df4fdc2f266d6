"""A real courier process and receivers on this host: every end is told, whatever dies meanwhile."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import orjson
import pytest
from standardwebhooks import Webhook

from headrace.endpoints import Event, letters_of
from headrace.environments import as_environment
from headrace.jobs import Cause, JobStatus
from headrace.keys import Keys
from headrace.mux import Mux
from headrace.settings import Settings
from headrace.sync_redis import SyncRedis
from headrace.webhooks import Delivery, DeliveryState, delivery_id_of
from scheduler.embedded_server import EmbeddedServer, free_port
from tests.integration.engine_rig import wait_until
from tests.integration.receivers import Receiver
from tests.integration.script_cell import TTL_S, Cell
from workers.webhooks.courier import Courier, _Leased
from workers.webhooks.settler import Settler

pytestmark = pytest.mark.slow

LOOPBACK_V4 = IPv4Network("127.0.0.0/8")


class CourierProcess:
    """`python -m workers --worker-class courier` on a cell."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._command = [sys.executable, "-m", "workers", "--worker-class", "courier", "--name", f"c-{settings.cell}"]
        self._environment = dict(os.environ) | as_environment(settings)
        self._log = log
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as out:
            self.process = subprocess.Popen(
                self._command, env=self._environment, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    def kill(self) -> None:
        """As the kernel does when memory is short."""
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        """As an operator does; answers the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def settings_of(url: str, cell: str, **more: Any) -> Settings:
    """Short attempts, so that leases of dead couriers run out soon."""
    terms = {"webhook_timeout_s": 1.0, "webhook_allow_networks": (LOOPBACK_V4,), "result_ttl_s": TTL_S, **more}
    return Settings.model_validate({"redis_url": url, "cell": cell, **terms})


@pytest.fixture(scope="module")
def courier(server: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CourierProcess]:
    """One courier for the tests that do not kill it."""
    courier = CourierProcess(settings_of(server.url, "hooks"), tmp_path_factory.mktemp("courier") / "log")
    yield courier
    courier.kill()


@pytest.fixture
def hooks(connection: SyncRedis, courier: CourierProcess) -> Cell:
    """The cell of that courier."""
    assert courier.process.poll() is None
    return Cell(connection=connection, keys=Keys(cell="hooks"))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


def delivery_of(cell: Cell, job_id: str) -> Delivery:
    [delivery] = cell.run(cell.deliveries.read([delivery_id_of(f"default/{job_id}")]))
    return delivery


def is_over(cell: Cell, job_id: str) -> bool:
    return delivery_of(cell, job_id).state is not DeliveryState.PENDING


def finish(cell: Cell, *job_ids: str, url: str) -> None:
    """Submit jobs with a webhook and end them."""
    for job_id in job_ids:
        cell.submit(job_id, webhook_url=url)
    cell.commit(cell.take_and_start(jobs=len(job_ids)), body=b'{"sum":3}')


def secret_of(cell: Cell) -> str:
    return cell.run(cell.deliveries.secrets("default"))[0]


def test_each_end_is_told_once_and_its_signature_is_right(hooks: Cell, receiver: Receiver) -> None:
    ids = [f"once{i}" for i in range(50)]

    finish(hooks, *ids, url=receiver.url)
    wait_until(lambda: all(is_over(hooks, job_id) for job_id in ids))

    assert sorted(f"{job_id}-1" for job_id in ids) == sorted(heard.headers["webhook-id"] for heard in receiver.heard)
    events = [Webhook(secret_of(hooks)).verify(heard.body, dict(heard.headers)) for heard in receiver.heard]
    assert {"job.succeeded"} == {event["type"] for event in events}
    assert all(event["data"]["job"]["result"] == {"sum": 3} for event in events)


def test_a_start_that_is_asked_for_is_told_before_the_end_with_a_lower_number(hooks: Cell, receiver: Receiver) -> None:
    asked = letters_of(frozenset({Event.STARTED, Event.SUCCEEDED}))
    hooks.submit("begins", webhook_url=receiver.url, webhook_letters=asked)
    leases = hooks.take_and_start(jobs=1)
    wait_until(lambda: len(receiver.heard) == 1)
    hooks.commit(leases)

    wait_until(lambda: len(receiver.heard) == 2)

    first, last = (Webhook(secret_of(hooks)).verify(heard.body, dict(heard.headers)) for heard in receiver.heard)
    assert ["begins-1", "begins-2"] == [heard.headers["webhook-id"] for heard in receiver.heard]
    assert [("job.started", 1), ("job.succeeded", 2)] == [(it["type"], it["data"]["seq"]) for it in (first, last)]
    assert ("running", 1) == (first["data"]["job"]["status"], first["data"]["job"]["attempts"])


def test_an_end_that_a_url_did_not_ask_for_is_not_sent(hooks: Cell, receiver: Receiver) -> None:
    hooks.submit("unheard", webhook_url=receiver.url, webhook_letters=letters_of(frozenset({Event.FAILED})))

    hooks.commit(hooks.take_and_start(jobs=1))
    wait_until(lambda: is_over(hooks, "unheard"))

    assert ("not_subscribed", []) == (delivery_of(hooks, "unheard").outcome, receiver.heard)


def test_every_way_to_end_is_told(hooks: Cell, receiver: Receiver) -> None:
    soon = hooks.now_ms() + 600_000
    hooks.submit("fails", webhook_url=receiver.url)
    hooks.commit(hooks.take_and_start(jobs=1), body=b'{"cause":"model","detail":"broke"}', cause=Cause.MODEL)
    hooks.submit("canceled", webhook_url=receiver.url)
    hooks.cancel("default/canceled")
    hooks.submit("expires", webhook_url=receiver.url, deadline_ms=soon)
    hooks.pass_deadlines("default/expires")
    hooks.expire()

    wait_until(lambda: len(receiver.heard) == 3)

    told = {event["data"]["job"]["id"]: event for event in (orjson.loads(heard.body) for heard in receiver.heard)}
    assert [told[job]["type"] for job in ("fails", "canceled", "expires")] == [
        "job.failed",
        "job.canceled",
        "job.expired",
    ]
    assert told["fails"]["data"]["job"]["error"] == {"cause": "model", "detail": "broke"}


def test_the_trace_of_the_request_goes_along(hooks: Cell, receiver: Receiver) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    for job_id, given in (("traced", trace), ("plain", "")):
        hooks.submit(job_id, webhook_url=receiver.url, traceparent=given)
        hooks.commit(hooks.take_and_start(jobs=1), body=b"1")

    wait_until(lambda: len(receiver.heard) == 2)

    told = {heard.headers["webhook-id"]: heard.headers.get("traceparent") for heard in receiver.heard}
    assert {"traced-1": trace, "plain-1": None} == told


def test_a_long_result_is_left_to_be_fetched(hooks: Cell, receiver: Receiver) -> None:
    hooks.submit("long", webhook_url=receiver.url)
    hooks.commit(hooks.take_and_start(jobs=1), body=orjson.dumps("x" * 20_000))

    wait_until(lambda: bool(receiver.heard))

    job = orjson.loads(receiver.heard[0].body)["data"]["job"]
    assert "result" not in job
    assert len(receiver.heard[0].body) < 1_000


def test_a_receiver_that_is_down_for_a_while_is_told_after(hooks: Cell) -> None:
    port = free_port()
    finish(hooks, "down", url=f"http://127.0.0.1:{port}/hook")
    wait_until(lambda: delivery_of(hooks, "down").outcome == "unreachable")

    receiver = Receiver(port)
    wait_until(lambda: is_over(hooks, "down"))
    receiver.close()

    delivery = delivery_of(hooks, "down")
    assert (delivery.state, delivery.attempts, delivery.outcome) == (DeliveryState.DELIVERED, 2, "http_204")
    assert ["down-1"] == [heard.headers["webhook-id"] for heard in receiver.heard]


def test_a_receiver_that_fails_gets_the_same_event_again_with_a_new_timestamp(hooks: Cell, receiver: Receiver) -> None:
    receiver.status = 500
    finish(hooks, "again", url=receiver.url)
    wait_until(lambda: delivery_of(hooks, "again").outcome == "http_500")

    receiver.status = 200
    wait_until(lambda: is_over(hooks, "again"))

    first, second = receiver.heard
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(first.headers["webhook-timestamp"]) < int(second.headers["webhook-timestamp"])
    Webhook(secret_of(hooks)).verify(second.body, dict(second.headers))


def test_410_ends_it(hooks: Cell, receiver: Receiver) -> None:
    receiver.status = 410
    finish(hooks, "gone", url=receiver.url)

    wait_until(lambda: is_over(hooks, "gone"))

    assert (DeliveryState.FAILED, "http_410") == (delivery_of(hooks, "gone").state, delivery_of(hooks, "gone").outcome)


def test_a_redirect_is_a_failure_that_is_never_followed(hooks: Cell, receiver: Receiver) -> None:
    receiver.status = 302
    finish(hooks, "moved", url=receiver.url)

    wait_until(lambda: delivery_of(hooks, "moved").outcome is not None)

    assert delivery_of(hooks, "moved").outcome == "redirect_not_followed"
    assert len(receiver.of("default/moved:1")) == 1


def test_a_receiver_that_hangs_keeps_nobody_else_waiting(hooks: Cell, receiver: Receiver) -> None:
    slow = Receiver()
    slow.answers.clear()
    finish(hooks, *(f"slow{i}" for i in range(5)), url=slow.url)
    wait_until(lambda: len(slow.heard) == 5)

    finish(hooks, "quick", url=receiver.url)
    wait_until(lambda: is_over(hooks, "quick"))

    assert delivery_of(hooks, "slow0").state is DeliveryState.PENDING
    wait_until(lambda: delivery_of(hooks, "slow0").outcome == "timeout")
    slow.close()


def test_a_rotated_secret_signs_beside_the_old_one(hooks: Cell, receiver: Receiver) -> None:
    old = secret_of(hooks)
    new = hooks.run(hooks.deliveries.secrets("default", keep_old_s=60))[0]
    time.sleep(1.1)  # what the courier knows is fresh for a second

    finish(hooks, "rotated", url=receiver.url)
    wait_until(lambda: bool(receiver.heard))

    for secret in (old, new):
        assert Webhook(secret).verify(receiver.heard[0].body, dict(receiver.heard[0].headers))


def test_what_is_told_is_kept_for_the_usual_time_and_what_is_not_for_longer(hooks: Cell, receiver: Receiver) -> None:
    receiver.answers.clear()
    finish(hooks, "kept", url=receiver.url)
    keys = [hooks.keys.job("default/kept"), hooks.keys.output("default/kept")]
    hooks.sweep()
    before = [hooks.redis.ttl(key) for key in keys]

    receiver.answers.set()
    wait_until(lambda: is_over(hooks, "kept"))

    assert min(before) > 4 * 86_400
    assert max(hooks.redis.ttl(key) for key in keys) <= TTL_S


@pytest.fixture
def mortal(redis_url: str, cell: Cell, tmp_path: Path) -> Iterator[CourierProcess]:
    """A courier to be killed, on the test's own cell."""
    courier = CourierProcess(settings_of(redis_url, cell.keys.cell), tmp_path / "log")
    yield courier
    courier.kill()


def test_a_courier_killed_in_the_middle_of_a_delivery_is_made_up_for_under_the_same_id(
    mortal: CourierProcess, cell: Cell, receiver: Receiver
) -> None:
    receiver.answers.clear()
    finish(cell, "torn", url=receiver.url)
    wait_until(lambda: len(receiver.heard) == 1)

    mortal.kill()
    receiver.answers.set()
    mortal.start()
    wait_until(lambda: is_over(cell, "torn"))

    assert delivery_of(cell, "torn").state is DeliveryState.DELIVERED
    assert ["torn-1"] * 2 == [heard.headers["webhook-id"] for heard in receiver.heard]
    assert receiver.heard[0].body == receiver.heard[1].body


def test_ends_that_came_while_no_courier_lived_are_told_and_a_drained_one_exits_0(
    mortal: CourierProcess, cell: Cell, receiver: Receiver
) -> None:
    finish(cell, "first", url=receiver.url)
    wait_until(lambda: is_over(cell, "first"))

    assert mortal.end() == 0
    finish(cell, "orphan", url=receiver.url)
    mortal.start()

    wait_until(lambda: is_over(cell, "orphan"))
    assert len(receiver.of("default/orphan:1")) == 1


def test_loopback_is_refused_unless_it_is_allowed(redis_url: str, cell: Cell, receiver: Receiver) -> None:
    courier = Courier(settings=settings_of(redis_url, cell.keys.cell, webhook_allow_networks=()))
    courier.start()

    finish(cell, "plain", url=receiver.url)
    cell.submit("tls", webhook_url=f"https://localhost:{receiver.port}/hook")
    cell.cancel("default/tls")
    wait_until(lambda: all(delivery_of(cell, job_id).outcome for job_id in ("plain", "tls")))
    courier.stop()

    assert (delivery_of(cell, "plain").outcome, delivery_of(cell, "tls").outcome) == ("url_refused", "address_refused")
    assert receiver.heard == []


def test_a_broken_record_keeps_no_other_end_from_being_told(cell: Cell) -> None:
    finish(cell, "broken", "sound", url="https://example.com/")
    cell.redis.hset(cell.keys.job("default/broken"), "m", "no model")

    assert ["default/sound:1"] == [due.id for due in cell.claim_deliveries()]


def test_a_courier_that_cannot_go_on_ends_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _, number: ended.append(number))
    courier = Courier(settings=settings_of("no address of a server", "c1"))

    courier.start()
    wait_until(lambda: bool(ended))

    assert ended == [signal.SIGTERM]


async def test_what_waited_for_its_turn_too_long_is_given_back_uncharged_while_its_lease_holds(
    redis_url: str, cell: Cell
) -> None:
    finish(cell, "late", url="https://example.com/")
    settings = settings_of(redis_url, cell.keys.cell, webhook_timeout_s=5.0)
    courier, mux = Courier(settings=settings), Mux(url=redis_url)
    courier._metrics.start()
    await mux.start()
    [late] = cell.claim_deliveries()
    courier._lanes.offer(_Leased(late, time.monotonic() - 5.1), "new", 0.0)
    courier._settler = Settler(mux=mux, store=courier._store, result_ttl_s=TTL_S)

    courier._give_back_late()
    await courier._settler.close(5.0)
    await mux.close()
    courier._metrics.close()

    [again] = cell.claim_deliveries()
    assert (again.id, again.attempts) == (late.id, late.attempts)
    assert again.fence > late.fence


def test_a_job_without_a_webhook_is_none_of_the_couriers_business(hooks: Cell) -> None:
    hooks.submit("silent")
    hooks.commit(hooks.take_and_start(jobs=1))

    assert hooks.status("default/silent") is JobStatus.SUCCEEDED
    assert hooks.redis.exists(hooks.keys.hook("default/silent"), hooks.keys.delivery("default/silent:1")) == 0
    assert hooks.redis.zscore(hooks.keys.outbox, "default/silent:1") is None
