"""An API server as far as workers need one, with a controller that keeps the number of pods of each Deployment.

Who calls may do only what the Role in deploy/kubernetes allows. `work` lets the controller and the kubelets go on.
"""

import itertools
import re
from typing import Any

from tests.integration.http_place import Answer, HttpPlace, Question

NAMESPACE = "headrace"
_COST = "controller.kubernetes.io/pod-deletion-cost"


class KubernetesServer(HttpPlace):
    """One namespace.

    Args:
        classes: each gets a Deployment with no pods.
        rules: of the Role.
    """

    def __init__(self, classes: tuple[str, ...], rules: list[dict[str, list[str]]]) -> None:
        self.replicas = dict.fromkeys(classes, 0)
        self.pods: dict[str, dict[str, Any]] = {}
        #: How often the next writes of a scale meet one that was quicker, and what that one changed.
        self.conflicts = 0
        self.rival: dict[str, int] = {}
        #: Pods stay away though they are asked for.
        self.is_slow = False
        self._rules = rules
        self._versions = dict.fromkeys(classes, 1)
        self._numbers = itertools.count(1)
        super().__init__()

    # --- the API

    def answer(self, question: Question) -> Answer:
        if question.headers.get("authorization") != "Bearer secret":
            return Answer(401, {"message": "Unauthorized"})
        core = re.fullmatch(rf"/api/v1/namespaces/{NAMESPACE}/pods(?:/([^/]+))?", question.path)
        scale = re.fullmatch(rf"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/([^/]+)/scale", question.path)
        group, resource = ("apps", "deployments/scale") if scale else ("", "pods")
        verb = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}[question.method]
        verb = "list" if core and not core[1] else verb
        if not self._allows(group, resource, verb):
            return Answer(403, {"message": f"cannot {verb} {resource}"})
        if scale:
            return self._scale(scale[1].removeprefix("headrace-worker-"), question)
        if core:
            return self._pods(core[1], question)
        return Answer(404)

    def _allows(self, group: str, resource: str, verb: str) -> bool:
        return any(
            group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]
            for rule in self._rules
        )

    def _scale(self, name: str, question: Question) -> Answer:
        if name not in self.replicas:
            return Answer(404, {"message": "not found"})
        if question.method == "PUT":
            if self.conflicts:
                self.conflicts -= 1
                self._versions[name] += 1
                self.replicas |= self.rival
            if question.document["metadata"]["resourceVersion"] != str(self._versions[name]):
                return Answer(409, {"reason": "Conflict"})
            self.replicas[name] = question.document["spec"]["replicas"]
            self._versions[name] += 1
        meta = {"name": f"headrace-worker-{name}", "resourceVersion": str(self._versions[name])}
        # A number of zero is left out, as in the real one.
        spec = {"replicas": self.replicas[name]} if self.replicas[name] else {}
        return Answer(200, {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta, "spec": spec})

    def _pods(self, name: str | None, question: Question) -> Answer:
        if name is None:
            assert question.query["labelSelector"] == "headrace/worker-class"
            return Answer(200, {"kind": "PodList", "items": list(self.pods.values())})
        pod = self.pods.get(name)
        if pod is None:
            return Answer(404, {"reason": "NotFound"})
        if question.method == "PATCH":
            assert question.headers["content-type"] == "application/merge-patch+json"
            pod["metadata"].setdefault("annotations", {}).update(question.document["metadata"]["annotations"])
        elif question.query.get("gracePeriodSeconds") == "0":
            del self.pods[name]
        return Answer(200, pod)

    # --- the controller

    def work(self) -> None:
        """Start what is missing, tell what is too much to end, the cheapest first and of these the newest."""
        for name, count in self.replicas.items():
            live = [pod for pod in self.pods.values() if _class_of(pod) == name and not _is_ending(pod)]
            if not self.is_slow:
                for _ in range(count - len(live)):
                    self._add(name)
            for pod in sorted(live, key=lambda pod: (_cost(pod), -_number(pod)))[: max(0, len(live) - count)]:
                pod["metadata"]["deletionTimestamp"] = "2030-01-01T00:01:00Z"

    def _add(self, name: str) -> None:
        number = next(self._numbers)
        pod = f"headrace-worker-{name}-7d4b9c-{number:05}"
        meta = {
            "name": pod,
            "labels": {"headrace/worker-class": name},
            "creationTimestamp": f"2030-01-01T00:{number // 60:02}:{number % 60:02}Z",
        }
        self.pods[pod] = {"metadata": meta, "status": {"phase": "Running"}}

    def end(self, pod: str) -> None:
        """A pod has ended and is gone; the controller replaces it if it was not told to end."""
        del self.pods[pod]


def _class_of(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["labels"]["headrace/worker-class"])


def _is_ending(pod: dict[str, Any]) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _cost(pod: dict[str, Any]) -> int:
    return int(pod["metadata"].get("annotations", {}).get(_COST, 0))


def _number(pod: dict[str, Any]) -> int:
    return int(pod["metadata"]["name"].rpartition("-")[2])
