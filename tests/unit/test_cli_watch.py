"""The live picture of `headrace top`."""

import io
from collections.abc import Mapping
from typing import Any, cast

import pytest
from rich.console import Console

from headrace.client import Client
from headrace.commands.watch import Rates, picture
from headrace.errors import Unavailable

QUEUE = {
    "model": {"name": "sleep", "version": 1},
    "tier": "spot",
    "depth": 12,
    "oldest_age_ms": 1_250,
    "wait_ms": None,
    "running": 8,
    "ended": 100,
    "workers": 2,
    "reason": "no_compatible_worker",
    "reason_detail": "no worker of tier spot is running",
}
CLASS = {
    "worker_class": "spot-class",
    "count": 3,
    "ready": 2,
    "starting": 1,
    "draining": 0,
    "min_workers": 0,
    "max_workers": 4,
    "jobs": 20,
    "backlog_s": 3.21,
}
WORKER = {
    "node": "",
    "id": "host:1:abc",
    "worker_class": "spot-class",
    "state": "ready",
    "jobs_held": 8,
    "jobs_done": 100,
    "batches": 20,
    "forward_ms": 20.123,
}


class Told:
    """An API that always says the same."""

    def queues(self) -> list[Mapping[str, Any]]:
        return [QUEUE]

    def workers(self) -> list[Mapping[str, Any]]:
        return [WORKER]

    def scaling(self) -> Mapping[str, Any]:
        return {"classes": [CLASS], "changes": []}


class Paused(Told):
    """One whose queue is paused, and nothing waits in it."""

    def queues(self) -> list[Mapping[str, Any]]:
        paused = {"since": "2026-01-01T00:00:00.000Z", "reason": "bad images"}
        return [{**QUEUE, "depth": 0, "reason": None, "reason_detail": None, "paused": paused}]


class Away(Told):
    """One that is not there."""

    def queues(self) -> list[Mapping[str, Any]]:
        raise Unavailable("the API cannot be reached")


def drawn(api: Told) -> str:
    out = io.StringIO()
    rates = Rates()
    rates.read([{**QUEUE, "ended": 75}], 10)
    Console(file=out, width=140).print(picture(cast("Client", api), rates, 12))
    return out.getvalue()


@pytest.mark.parametrize(
    "words",
    [
        ["sleep@1", "spot", "12", "1.25 s", "8", "100", "12.5/s", "2", "no", "worker"],
        ["spot-class", "3", "2", "1", "0", "0", "4", "20", "3.2 s"],
        ["host:1:abc", "spot-class", "ready", "8", "100", "20", "5.0", "20.1 ms"],
    ],
    ids=["queue", "class", "worker"],
)
def test_the_picture_has_a_row_for_each(words: list[str]) -> None:
    [row] = [line for line in drawn(Told()).splitlines() if line.split()[:1] == words[:1]]

    assert " ".join(words) in " ".join(row.split())


def test_a_queue_that_is_paused_is_marked_though_nothing_waits_in_it() -> None:
    assert "PAUSED" in drawn(Paused())
    assert "PAUSED" not in drawn(Told())


def test_an_api_that_is_away_is_told_and_not_the_end() -> None:
    assert drawn(Away()) == "the API cannot be reached; trying again\n"


def test_a_queue_that_was_not_seen_before_has_no_rate_yet() -> None:
    [first] = Rates().read([QUEUE], 10)

    assert first["per_s"] is None
