"""Back end that sets how many pods the Deployment of each worker class has, by its scale subresource.

A Deployment's controller starts and replaces pods by itself; this only changes the number, one up for a start, one
down for a drain. Which pod goes is the controller's choice too: it takes the one with the lowest deletion cost
(`controller.kubernetes.io/pod-deletion-cost`), so the pod that is to be drained is made the cheapest first. The number
is changed only from what was seen: where somebody else has changed it meanwhile, nothing is done and the next step
looks again. So two owners do no harm, and a pod that is slow to appear is not asked for twice.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from scheduler.backends.port import BackendError, BackendState, BackendWorker
from scheduler.backends.rest import Refused, Rest

#: Where a pod finds what it may use to talk to the API server.
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_CLUSTER = "https://kubernetes.default.svc"

_COST = "controller.kubernetes.io/pod-deletion-cost"
_CHEAPEST = -1_000_000
_CLASS_LABEL = "headrace/worker-class"
#: Above any pod's: what has not appeared yet is given up first.
_NOT_THERE_YET = 1 << 62
#: The controller writes into the Deployment all the time, which is no conflict about the number.
_TRIES = 5


class KubernetesBackend:
    """Workers as pods of Deployments, one for each class: `headrace-worker-CLASS`, label `headrace/worker-class`.

    Args:
        rest: leads to the API server.
        namespace: of the Deployments.
        classes: names of the worker classes.
        token_file: read for each call, since tokens are replaced now and then; None if none is needed.
    """

    def __init__(self, *, rest: Rest, namespace: str, classes: Sequence[str], token_file: Path | None = None) -> None:
        self._rest = rest
        self._pods = f"/api/v1/namespaces/{namespace}/pods"
        self._deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
        self._classes = classes
        self._token_file = token_file
        #: How many pods each class was to have, as last seen or set.
        self._replicas: dict[str, int] = {}
        #: The workers as last seen, by name.
        self._seen: dict[str, BackendWorker] = {}

    def workers(self) -> list[BackendWorker]:
        """Every pod, and one entry for each that is still to appear; one that is gone is listed once more."""
        listed = self._call("GET", self._pods, query={"labelSelector": _CLASS_LABEL})["items"]
        present: list[BackendWorker] = []
        for name in self._classes:
            self._replicas[name] = int(self._scale(name)["spec"].get("replicas", 0))
            pods = [pod for pod in listed if pod["metadata"]["labels"][_CLASS_LABEL] == name]
            present += _views(name, pods, self._replicas[name])
        names = {worker.id for worker in present}
        gone = [w for w in self._seen.values() if w.id not in names and w.number != _NOT_THERE_YET]
        self._seen = {worker.id: worker for worker in present}
        return present + [worker._replace(state=BackendState.ENDED, ending="is gone") for worker in gone]

    def start(self, worker_class: str, slot: int) -> BackendWorker:
        """Start a worker of a class."""
        self._change(worker_class, 1)
        return BackendWorker(_to_come(worker_class, slot), worker_class, slot, BackendState.RUNNING)

    def drain(self, worker_id: str) -> None:
        """Ask a worker to finish what it has and end; asked again, nothing happens."""
        worker = self._seen.get(worker_id)
        if worker is None or worker.state is not BackendState.RUNNING:
            return
        if worker.number != _NOT_THERE_YET:
            self._make_cheapest(worker_id)
        self._change(worker.worker_class, -1)
        self._seen[worker_id] = worker._replace(state=BackendState.DRAINING)

    def kill(self, worker_id: str) -> None:
        """End a worker at once; its jobs are rescued when their leases run out."""
        self.drain(worker_id)
        try:
            self._call("DELETE", f"{self._pods}/{worker_id}", query={"gracePeriodSeconds": "0"})
        except Refused as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def _make_cheapest(self, pod: str) -> None:
        patch = {"metadata": {"annotations": {_COST: str(_CHEAPEST)}}}
        try:
            self._call("PATCH", f"{self._pods}/{pod}", document=patch, kind="application/merge-patch+json")
        except Refused as error:
            # It is gone by itself, and the controller replaces it unless the number goes down.
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def _change(self, worker_class: str, by: int) -> None:
        """Set a number from what was seen, unless it is another by now."""
        seen = self._replicas.get(worker_class, 0)
        for _ in range(_TRIES):
            scale = self._scale(worker_class)
            if (replicas := int(scale["spec"].get("replicas", 0))) != seen:
                raise BackendError(f"{worker_class} was to have {seen} pods, and is to have {replicas} by now")
            scale["spec"]["replicas"] = seen + by
            try:
                self._call("PUT", f"{self._deployments}/{_deployment(worker_class)}/scale", document=scale)
            except Refused as error:
                if error.status == HTTPStatus.CONFLICT:
                    continue
                raise
            self._replicas[worker_class] = seen + by
            return
        raise BackendError(f"the scale of {worker_class} is changed by somebody all the time")

    def _scale(self, worker_class: str) -> dict[str, Any]:
        found: dict[str, Any] = self._call("GET", f"{self._deployments}/{_deployment(worker_class)}/scale")
        return found

    def _call(self, method: str, path: str, *, kind: str = "application/json", **more: Any) -> Any:
        headers = {"Content-Type": kind}
        if self._token_file is not None:
            headers["Authorization"] = f"Bearer {self._token_file.read_text().strip()}"
        return self._rest.call(method, path, headers=headers, **more)


def _deployment(worker_class: str) -> str:
    return f"headrace-worker-{worker_class}"


def _to_come(worker_class: str, place: int) -> str:
    return f"{_deployment(worker_class)}-to-come-{place}"


def _views(worker_class: str, pods: Sequence[Mapping[str, Any]], replicas: int) -> list[BackendWorker]:
    """The pods of a class, oldest first, then what is still to appear."""
    workers, costs = [], {}
    for slot, pod in enumerate(sorted(pods, key=_age), start=1):
        name = pod["metadata"]["name"]
        state = BackendState.DRAINING if pod["metadata"].get("deletionTimestamp") else BackendState.RUNNING
        workers.append(BackendWorker(name, worker_class, slot, state, number=_born(pod)))
        costs[name] = int(pod["metadata"].get("annotations", {}).get(_COST, "0"))
    running = [worker for worker in workers if worker.state is BackendState.RUNNING]
    # More than there should be: the controller is about to take the cheapest.
    going = {w.id for w in sorted(running, key=lambda w: (costs[w.id], -w.number))[: max(0, len(running) - replicas)]}
    workers = [w._replace(state=BackendState.DRAINING) if w.id in going else w for w in workers]
    places = range(len(workers) + 1, len(workers) + 1 + max(0, replicas - len(running)))
    return workers + [
        BackendWorker(_to_come(worker_class, n), worker_class, n, BackendState.RUNNING, number=_NOT_THERE_YET)
        for n in places
    ]


def _born(pod: Mapping[str, Any]) -> int:
    return int(datetime.fromisoformat(pod["metadata"]["creationTimestamp"]).timestamp())


def _age(pod: Mapping[str, Any]) -> tuple[int, str]:
    return _born(pod), pod["metadata"]["name"]
