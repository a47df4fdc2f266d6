"""Models whose load fails, hangs or is slow: their jobs wait uncharged, other models are served meanwhile."""

import pytest

from headrace.jobs import JobStatus
from headrace.model_ref import ModelRef
from tests.faults.cluster import Cluster, poll
from tests.faults.ledger import Ledger
from tests.model_folder import write_model

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

#: A model whose load does what is put in; answers as the exact function does.
LOADING = """
import time

class Question(BaseModel):
    x: int
    sleep_ms: int = 0
    act: str = "answer"

class Loaded(Model, max_batch=8):
    '''Answers x² + 1, once it is loaded.'''
    examples = (Question(x=1),)

    def load(self, files: Any, device: str) -> None:
        {act}

    def forward(self, batch: list[Question]) -> list[int]:
        return [question.x**2 + 1 for question in batch]
"""
FAILING = "raise RuntimeError('its weights do not fit')"
HANGING = "time.sleep(3600)"
GREEDY = "self.weights = bytearray(4 << 30)"
SLOW = "time.sleep(3)"
LOAD_LIMIT_S = 1.5


@pytest.mark.parametrize(
    ("act", "why"),
    [(FAILING, "its weights do not fit"), (HANGING, "died while loading it"), (GREEDY, "needs more memory to load")],
)
def test_jobs_of_a_model_that_cannot_be_loaded_wait_and_others_are_served(
    cluster: Cluster, ledger: Ledger, act: str, why: str
) -> None:
    limits = {"load_limit_s": LOAD_LIMIT_S, "forward_limit_s": 1.0, "load_memory_bytes": 256 << 20}
    cluster.settings = cluster.settings.model_copy(update=limits)
    broken = _push(cluster, act)
    waiting = Ledger(cluster=cluster, ref=broken)
    waiting.submit(range(4))
    worker = cluster.start_worker("w0", serving=None)
    poll("refused, and said why", lambda: why in _error(cluster, broken), limit_s=60)

    for _ in range(3):
        ledger.submit(range(8))
        ledger.wait_until_ended()

    ledger.verify_all_succeeded()
    assert {(JobStatus.QUEUED, 0)} == {(job.status, job.attempts) for job in waiting.jobs().values()}
    assert worker.is_running
    mended = Ledger(cluster=cluster, ref=_push(cluster, "pass"))
    mended.submit(range(8))
    mended.wait_until_ended(limit_s=60)
    mended.verify_all_succeeded()


def test_a_slow_load_costs_no_job_an_attempt(cluster: Cluster, ledger: Ledger) -> None:
    cluster.start_scheduler()
    slow = Ledger(cluster=cluster, ref=_push(cluster, SLOW))
    ledger.submit(range(8))
    slow.submit(range(8))

    cluster.start_worker("w0", serving=None)
    ledger.wait_until_ended()
    slow.wait_until_ended()

    for each in (ledger, slow):
        each.verify_answers(each.members)
        assert {(JobStatus.SUCCEEDED, 1)} == {(job.status, job.attempts) for job in each.jobs().values()}


def _push(cluster: Cluster, act: str) -> ModelRef:
    folder = write_model(cluster.folder / "loading", LOADING.format(act=act))
    return cluster.registry.push(folder, name="loading").manifest.ref


def _error(cluster: Cluster, ref: ModelRef) -> str:
    models = [presence.models.get(str(ref)) for presence in cluster.presences()]
    return next((model.error for model in models if model is not None), "")
