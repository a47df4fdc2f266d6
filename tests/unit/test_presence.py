"""What workers say of themselves, and why a job waits."""

import pytest

from headrace.jobs import Reason
from headrace.model_ref import ModelRef
from headrace.presence import ModelPresence, ModelState, WorkerPresence, WorkerState, explain_wait
from headrace.tiers import Tier

REF = ModelRef("cat", 2)


def worker(
    state: WorkerState = WorkerState.READY,
    model: ModelState | None = None,
    *,
    tiers: tuple[Tier, ...] = tuple(Tier),
    error: str = "",
    paused: tuple[str, ...] = (),
) -> WorkerPresence:
    return WorkerPresence(
        id="w1",
        worker_class="gpu",
        host="h",
        pid=1,
        device="cpu",
        tiers=tiers,
        state=state,
        models={str(REF): ModelPresence(state=model, error=error)} if model else {},
        started_ms=5,
        paused=paused,
    )


def test_a_worker_reads_as_it_was_written() -> None:
    presence = worker(model=ModelState.FAILED, error="no such file")

    assert presence == WorkerPresence.from_bytes(presence.to_bytes())


def test_what_somebody_else_wrote_is_not_a_worker() -> None:
    with pytest.raises(ValueError, match="WorkerPresence"):
        WorkerPresence.from_bytes(b'{"id": 5}')


@pytest.mark.parametrize(
    ("workers", "reason", "detail"),
    [
        ([worker(model=ModelState.READY)], Reason.WAITING_TURN, ""),
        ([worker(model=ModelState.LOADING), worker(model=ModelState.READY)], Reason.WAITING_TURN, ""),
        ([worker(model=ModelState.LOADING)], Reason.MODEL_LOADING, ""),
        ([worker(model=ModelState.FAILED), worker(model=ModelState.LOADING)], Reason.MODEL_LOADING, ""),
        ([worker(WorkerState.STARTING)], Reason.WORKER_STARTING, ""),
        ([], Reason.NO_COMPATIBLE_WORKER, "no worker of tier spot is running"),
        ([worker()], Reason.NO_COMPATIBLE_WORKER, "no worker of tier spot serves cat@2"),
        (
            [worker(model=ModelState.FAILED, error="a file is gone")],
            Reason.NO_COMPATIBLE_WORKER,
            "cat@2 cannot be loaded: a file is gone",
        ),
        (
            [worker(WorkerState.DRAINING, ModelState.READY)],
            Reason.NO_COMPATIBLE_WORKER,
            "no worker of tier spot is running",
        ),
        (
            [worker(model=ModelState.READY, paused=("cat@2:spot",)), worker(model=ModelState.FAILED)],
            Reason.QUEUE_PAUSED,
            "paused by remote control on w1",
        ),
        ([worker(model=ModelState.READY, paused=("cat@2:priority",))], Reason.WAITING_TURN, ""),
        (
            [worker(model=ModelState.READY, paused=("cat@2:spot",)), worker(model=ModelState.READY)],
            Reason.WAITING_TURN,
            "",
        ),
        (
            [worker(model=ModelState.READY, tiers=(Tier.PRIORITY,))],
            Reason.NO_COMPATIBLE_WORKER,
            "no worker of tier spot is running",
        ),
    ],
)
def test_a_wait_is_explained(workers: list[WorkerPresence], reason: Reason, detail: str) -> None:
    assert (reason, detail) == explain_wait(REF, Tier.SPOT, workers)
