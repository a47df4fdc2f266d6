"""One long-running program of the system, kept alive: here small Python programs stand in."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scheduler.service import Service

FOREVER = "import time; time.sleep(600)"
CRASHING = "print('no such file'); raise SystemExit(3)"


@contextmanager
def service_of(source: str) -> Iterator[Service]:
    service = Service(
        name="part",
        command=[sys.executable, "-c", source],
        environment={},
        sink=lambda _name, _text: None,
    )
    yield service
    service.kill()


def step_until_it_ends(service: Service, now: float) -> None:
    """Start what is due, wait for its end, note that."""
    service.step(now)
    until = time.monotonic() + 20
    while service.is_running:
        assert time.monotonic() < until, "it did not end"
        time.sleep(0.01)


def test_a_program_that_ended_is_started_again() -> None:
    with service_of(FOREVER) as service:
        service.step(now=0.0)
        first = service.pid
        service.kill()

        service.step(now=1.0)

        assert service.is_running
        assert service.pid != first


def test_a_program_that_runs_is_left_alone() -> None:
    with service_of(FOREVER) as service:
        service.step(now=0.0)
        first = service.pid

        service.step(now=1.0)

        assert service.pid == first


def test_a_program_that_keeps_ending_waits_longer_and_its_last_lines_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with service_of(CRASHING) as service:
        for now in (0.0, 10.0, 20.0, 30.0):
            step_until_it_ends(service, now)
        service.step(now=40.0)

        assert not service.is_running
    assert "part ended with status 3; next start in 1 s" in caplog.text
    assert "part has ended 3 times in a row; its last lines:\n    no such file" in caplog.text
