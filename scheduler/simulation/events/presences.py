"""What simulated workers say of themselves, as real ones write it down about once a second."""

from collections import Counter

from headrace.groups import group_of
from headrace.presence import GroupLoad, ModelPresence, ModelState, WorkerPresence, WorkerState
from headrace.worker_class import WorkerClass
from scheduler.simulation.events.crew import Worker
from scheduler.simulation.events.queues import Job
from scheduler.simulation.events.site import Site


def presences(site: Site, name: str, kind: WorkerClass, now: float) -> list[WorkerPresence]:
    """Of each worker of one class."""
    models = {ref: ModelPresence(state=ModelState.READY, job_s=job_s) for ref, job_s in site.job_s(name).items()}
    pass_ms = 1000 * site.pass_s(name)
    return [_presence(worker, number, kind, models, pass_ms, now) for number, worker in enumerate(site.workers[name])]


def _presence(
    worker: Worker, number: int, kind: WorkerClass, models: dict[str, ModelPresence], pass_ms: float, now: float
) -> WorkerPresence:
    held, running = _by_group(worker.held), _by_group(worker.running)
    state = WorkerState.DRAINING if worker.is_draining else WorkerState.READY
    return WorkerPresence(
        id=f"{worker.kind}-{number}",
        worker_class=worker.kind,
        host="simulated",
        pid=number + 1,
        device=kind.device,
        tiers=kind.tiers,
        state=WorkerState.STARTING if worker.ready_s > now else state,
        models=models if worker.ready_s <= now else {},
        started_ms=round(1000 * worker.started_s),
        groups={group: GroupLoad(held=count, running=running[group]) for group, count in held.items()},
        jobs_held=sum(held.values()),
        forward_ms=pass_ms,
    )


def _by_group(jobs: list[Job]) -> Counter[str]:
    return Counter(group_of(job.ref, job.tier) for job in jobs)
