"""What Celery's tables say of the jobs that a worker holds, and that they say it to whoever looks."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state
from celery.worker.control import Panel

from headrace.store_work import ClaimedJob
from workers.celery_view import CeleryView
from workers.control.shown import LOOKING, shown
from workers.held_jobs import HeldJob


@pytest.fixture
def view() -> Iterator[CeleryView]:
    view = CeleryView(consumer=SimpleNamespace(app=None, hostname="w"))
    yield view
    view.show(())


def held_job(slot: int, *, running: bool = False) -> HeldJob:
    job = ClaimedJob(member=f"default/j{slot}", fence=slot, attempts=0, max_attempts=3, group=0, input=b"1")
    held = HeldJob(slot, job, "m@1:standard")
    held.running = running
    return held


def ids(requests: Any) -> set[str]:
    return {request.id for request in requests}


def test_jobs_that_are_held_are_reserved_and_those_in_a_pass_active(view: CeleryView) -> None:
    view.show([held_job(1, running=True), held_job(2)])

    assert {"j1", "j2"} == ids(state.reserved_requests)
    assert {"j1"} == ids(state.active_requests)
    assert "m@1" == state.requests["j2"].name


def test_jobs_that_are_held_no_more_are_forgotten(view: CeleryView) -> None:
    stays = held_job(2)
    view.show([held_job(1, running=True), stays])

    view.show([stays])

    assert ({"j2"}, set()) == (ids(state.reserved_requests), ids(state.active_requests))
    assert {"j2"} == state.requests.keys()


def test_a_job_that_goes_back_from_its_pass_is_active_no_more(view: CeleryView) -> None:
    held = held_job(1, running=True)
    view.show([held])

    held.running = False
    view.show([held])

    assert ({"j1"}, set()) == (ids(state.reserved_requests), ids(state.active_requests))


def test_plain_tasks_are_left_alone(view: CeleryView) -> None:
    class Task:
        id = "plain"

    task = Task()
    state.requests["plain"] = task
    state.active_requests.add(task)

    view.show([held_job(1)])
    view.show(())

    assert ({"plain"}, {"plain"}) == (set(state.requests), ids(state.active_requests))
    del state.requests["plain"]


def test_whoever_looks_sees_what_is_held_at_that_moment(view: CeleryView) -> None:
    engine = SimpleNamespace(show_jobs=lambda: view.show([held_job(7)]))
    worker = SimpleNamespace(consumer=SimpleNamespace(controller=SimpleNamespace(headrace_engine=engine)))

    seen = shown(lambda _, **more: (ids(state.reserved_requests), more))(worker, further=1)

    assert ({"j7"}, {"further": 1}) == seen


def test_a_worker_without_an_engine_is_looked_at_as_it_is() -> None:
    worker = SimpleNamespace(consumer=SimpleNamespace(controller=SimpleNamespace()))

    assert "seen" == shown(lambda _: "seen")(worker)


@pytest.mark.parametrize("name", LOOKING)
def test_every_command_that_looks_at_requests_has_them_shown_first(name: str) -> None:
    assert "show_jobs" in Panel.data[name].__code__.co_names
