"""deploy/kubernetes and deploy/owner.yml: that which can be read without a cluster or an engine."""

import importlib.util
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.settings import Settings
from headrace.webhooks import COURIER_CLASS
from headrace.worker_class import WorkerClass

CHECKOUT = Path(__file__).parents[2]
FOLDER = CHECKOUT / "deploy" / "kubernetes"
BASE = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
WRITTEN: list[dict[str, Any]] = [
    document for name in BASE["resources"] for document in yaml.safe_load_all((FOLDER / name).read_text())
]
SETTINGS = Settings(**tomllib.loads((FOLDER / "headrace.toml").read_text()))


def of_kind(kind: str, documents: list[dict[str, Any]] = WRITTEN) -> dict[str, dict[str, Any]]:
    return {document["metadata"]["name"]: document for document in documents if document["kind"] == kind}


def pod(deployment: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


def command(deployment: dict[str, Any]) -> list[str]:
    [container] = pod(deployment)["containers"]
    words: list[str] = container["command"]
    return words


DEPLOYMENTS = of_kind("Deployment")
WORKERS = {name: spec for name, spec in DEPLOYMENTS.items() if "workers" in command(spec)}


COMMON = pod(yaml.safe_load((FOLDER / "common.yaml").read_text()))
FIELDS = {f"HEADRACE_{name.upper()}" for name in Settings.model_fields} | {"HEADRACE_CONFIG", "POD_NAME"}


def variables(spec: dict[str, Any]) -> set[str]:
    """Names of what the one container of a pod is given; `_FILE` says that a file holds the value."""
    [container] = spec["containers"]
    return {variable["name"].removesuffix("_FILE") for variable in container.get("env", ())}


def secrets(spec: dict[str, Any]) -> set[str]:
    """Files of the Secret that a pod can read; it must name each."""
    [container] = spec["containers"]
    folders = {mount["name"]: mount["mountPath"] for mount in container.get("volumeMounts", ())}
    volumes = [volume for volume in spec.get("volumes", ()) if "secret" in volume]
    return {f"{folders[volume['name']]}/{item['path']}" for volume in volumes for item in volume["secret"]["items"]}


@pytest.fixture
def built() -> list[dict[str, Any]]:
    """What would be applied. No package of the distribution that tests run on has a kubectl that is new enough."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("not run: what `kubectl kustomize` makes of the base, since kubectl is not installed")
    done = subprocess.run([kubectl, "kustomize", str(FOLDER)], capture_output=True, text=True, check=True)
    return list(yaml.safe_load_all(done.stdout))


def test_every_file_is_part_of_the_base() -> None:
    parts = {*BASE["resources"], *(patch["path"] for patch in BASE["patches"])}
    configured = {file for generator in BASE["configMapGenerator"] for file in generator["files"]}

    assert {path.name for path in FOLDER.iterdir()} == parts | configured | {"kustomization.yaml"}


def test_every_deployment_runs_a_module_of_ours_and_selects_its_own_pods() -> None:
    for name, deployment in DEPLOYMENTS.items():
        python, flag, module = command(deployment)[:3]
        labels = deployment["spec"]["template"]["metadata"]["labels"]

        assert ("python", "-m") == (python, flag)
        assert importlib.util.find_spec(module) is not None, name
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_each_worker_class_has_a_deployment_of_the_name_that_the_owner_scales() -> None:
    classes = {command(spec)[command(spec).index("--worker-class") + 1]: name for name, spec in WORKERS.items()}

    courier = classes.pop(COURIER_CLASS)
    assert "headrace-courier" == courier
    assert {name: f"headrace-worker-{name}" for name in SETTINGS.worker_classes} == classes
    for worker_class, name in classes.items():
        spec = DEPLOYMENTS[name]["spec"]
        assert worker_class == spec["template"]["metadata"]["labels"]["headrace/worker-class"]
        # Else each `apply` would undo what the owner did.
        assert "replicas" not in spec


def test_a_worker_is_named_after_its_pod() -> None:
    assert {"$(POD_NAME)"} == {command(spec)[command(spec).index("--name") + 1] for spec in WORKERS.values()}


def test_workers_get_more_time_to_stop_than_they_take() -> None:
    for deployment in WORKERS.values():
        assert pod(deployment)["terminationGracePeriodSeconds"] >= SETTINGS.shutdown_grace_s + 15


def test_what_every_pod_is_given_are_settings_of_ours_and_no_privileges() -> None:
    [container] = COMMON["containers"]

    assert {"HEADRACE_CONFIG", "HEADRACE_REDIS_URL", "HEADRACE_REDIS_PASSWORD", "POD_NAME"} <= variables(COMMON)
    for spec in (COMMON, *map(pod, DEPLOYMENTS.values())):
        assert set() == variables(spec) - FIELDS
    assert COMMON["securityContext"]["runAsNonRoot"]
    assert ["ALL"] == container["securityContext"]["capabilities"]["drop"]


def test_no_service_puts_a_variable_into_a_pod_that_is_taken_for_a_setting() -> None:
    injected = {f"{name.upper().replace('-', '_')}_PORT" for name in of_kind("Service")}

    assert {"HEADRACE_API_PORT"} == injected & FIELDS
    assert COMMON["enableServiceLinks"] is False


def test_only_who_seals_or_sends_webhooks_can_read_their_key() -> None:
    key, password = "/run/secrets/webhook/webhook_key", "/run/secrets/headrace/redis_password"

    readers = {name for name, deployment in DEPLOYMENTS.items() if secrets(pod(deployment)) == {key}}
    assert {"headrace-api", "headrace-courier"} == readers
    assert {password} == secrets(COMMON) == secrets(pod(of_kind("StatefulSet")["redis"]))
    assert set() == set().union(*(secrets(pod(d)) for name, d in DEPLOYMENTS.items() if name not in readers))


def test_what_is_applied_gives_every_process_its_settings_and_no_privileges(built: list[dict[str, Any]]) -> None:
    [config] = of_kind("ConfigMap", built)

    for name, deployment in of_kind("Deployment", built).items():
        [container] = pod(deployment)["containers"]
        given = variables(pod(deployment))
        files = {variable["value"] for variable in container["env"] if variable["name"].endswith("_FILE")}
        volumes = {volume["name"]: volume for volume in pod(deployment)["volumes"]}

        assert set() == given - FIELDS, name
        assert files == secrets(pod(deployment))
        assert pod(deployment)["enableServiceLinks"] is False
        assert {"HEADRACE_CONFIG", "HEADRACE_REDIS_URL", "HEADRACE_REDIS_PASSWORD", "POD_NAME"} <= given
        assert "headrace:cpu" == container["image"]
        assert config == volumes["config"]["configMap"]["name"]
        assert pod(deployment)["securityContext"]["runAsNonRoot"]
        assert ["ALL"] == container["securityContext"]["capabilities"]["drop"]
    assert {"headrace"} == {d["metadata"]["namespace"] for d in built if d["kind"] != "Namespace"}


def test_the_owner_beside_the_compose_file_is_one_and_the_only_one_with_the_socket() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "deploy/owner.yml"]
    done = subprocess.run(check, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    owner = yaml.safe_load((CHECKOUT / "deploy" / "owner.yml").read_text())["services"]["owner"]
    classes = tomllib.loads((CHECKOUT / "deploy" / "headrace.toml").read_text())["worker_classes"]

    assert done.returncode == 0, done.stdout
    assert "/var/run/docker.sock:/var/run/docker.sock" in owner["volumes"]
    assert "docker.sock" not in (CHECKOUT / "docker-compose.yml").read_text()
    images = {name: "headrace:cuda" for name, kind in classes.items() if WorkerClass(**kind).device == "cuda"}
    assert images == dict(word.split("=") for word in owner["command"] if "=" in word)
