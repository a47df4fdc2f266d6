"""Dockerfile, docker-compose.yml and what they refer to: that which can be read without a container engine."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from headrace.settings import Settings
from headrace.webhooks import COURIER_CLASS
from tests.e2e.compose_file import CHECKOUT, read_compose

COMPOSE = read_compose()
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: spec for name, spec in SERVICES.items() if spec["image"].startswith("headrace:")}
#: Each instruction in one line, comments left out.
DOCKERFILE = [
    line
    for line in re.sub(r"\\\n", " ", (CHECKOUT / "Dockerfile").read_text()).splitlines()
    if line and not line.startswith("#")
]
IGNORE = (CHECKOUT / ".dockerignore").read_text().split("\n")


def instructions(name: str) -> list[str]:
    return [line.removeprefix(name).strip() for line in DOCKERFILE if line.startswith(name + " ")]


def stages() -> dict[str, list[str]]:
    """The instructions of each stage with those of the stages that it is made from."""
    found: dict[str, list[str]] = {}
    for line in DOCKERFILE:
        if match := re.fullmatch(r"FROM (\S+) AS (\S+)", line):
            lines = list(found.get(match[1], []))
            found[match[2]] = lines
        else:
            lines.append(line)
    return found


def test_the_compose_file_is_one() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]

    done = subprocess.run([*command, "docker-compose.yml"], cwd=CHECKOUT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_the_services_are_those_of_the_system() -> None:
    workers = {name for name in SERVICES if name.startswith("worker-")}

    watching = ("prometheus", "grafana")
    assert {"redis", "api", "proxy", "scheduler", "courier", "flower"} == set(SERVICES) - workers - set(watching)
    assert {"worker-on-demand", "worker-spot", "worker-gpu", "worker-gpu-spot"} == workers
    profiles = {name: spec["profiles"] for name, spec in SERVICES.items() if "profiles" in spec}
    assert {
        **{name: ["observability"] for name in watching},
        **{name: ["gpu"] for name in ("worker-gpu", "worker-gpu-spot")},
    } == profiles


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_a_health_check_no_privileges_and_a_restart(name: str) -> None:
    spec = SERVICES[name]

    assert spec["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert (["ALL"], ["no-new-privileges:true"]) == (spec["cap_drop"], spec["security_opt"])
    assert spec["restart"] == "unless-stopped"
    assert "container_name" not in spec


def test_ports_are_published_on_loopback_only_and_only_where_people_look() -> None:
    published = {name: port for name, spec in SERVICES.items() for port in spec.get("ports", [])}

    doors = {"proxy": 8080, "flower": 5555, "prometheus": 9090, "grafana": 3000}
    assert {name: f"127.0.0.1:{port}:{port}" for name, port in doors.items()} == published


def test_secrets_are_files_that_the_script_makes_and_git_and_the_image_leave_out(tmp_path: Path) -> None:
    script = tmp_path / "make_secrets.sh"
    script.write_bytes((CHECKOUT / "deploy" / "make_secrets.sh").read_bytes())
    subprocess.run(["sh", str(script)], check=True, capture_output=True)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    again = subprocess.run(["sh", str(script)], check=True, capture_output=True)

    named = {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    assert named == set(made)
    assert len(made["redis_password"]) == 48
    assert made["flower_auth"].startswith("operator:")
    assert again.stdout == b""
    assert made == {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert "deploy/secrets/" in (CHECKOUT / ".gitignore").read_text().split("\n")
    assert "deploy/secrets" in IGNORE


def test_variables_are_settings_and_files_are_there() -> None:
    fields = {f"HEADRACE_{name.upper()}" for name in Settings.model_fields} | {"HEADRACE_CONFIG"}
    given = {name.removesuffix("_FILE") for spec in OURS.values() for name in spec["environment"]}

    assert given - fields == set()
    assert [] == [config["file"] for config in COMPOSE["configs"].values() if not (CHECKOUT / config["file"]).is_file()]
    for spec in OURS.values():
        files = {value for value in spec["environment"].values() if value.startswith("/run/secrets/")}
        assert files == {f"/run/secrets/{secret}" for secret in spec["secrets"]}


def test_each_worker_service_runs_a_class_of_the_settings_and_is_checked_by_its_name() -> None:
    document = tomllib.loads((CHECKOUT / "deploy" / "headrace.toml").read_text())
    classes = set(Settings(**document).worker_classes) | {COURIER_CLASS}

    ran = set()
    for spec in OURS.values():
        command = spec["command"]
        if "workers" in command:
            ran.add(command[command.index("--worker-class") + 1])
            assert spec["healthcheck"]["test"][-1] == command[command.index("--name") + 1]
    assert classes == ran


def test_each_class_may_have_several_workers_and_only_one_is_kept_when_nothing_waits() -> None:
    document = tomllib.loads((CHECKOUT / "deploy" / "headrace.toml").read_text())
    classes = Settings(**document).worker_classes

    assert {"on-demand": 1} == {name: kind.min_workers for name, kind in classes.items() if kind.min_workers}
    assert all(kind.max_workers > 1 for kind in classes.values())


def test_workers_get_more_time_to_stop_than_they_take() -> None:
    for name, spec in OURS.items():
        if "workers" in spec["command"]:
            assert int(spec["stop_grace_period"].rstrip("s")) >= Settings().shutdown_grace_s + 15, name


def test_gpu_replicas_see_all_gpus_and_lease_one() -> None:
    for name in ("worker-gpu", "worker-gpu-spot"):
        [device] = SERVICES[name]["deploy"]["resources"]["reservations"]["devices"]
        assert (device["driver"], device["count"], device["capabilities"]) == ("nvidia", "all", ["gpu"])
    document = tomllib.loads((CHECKOUT / "deploy" / "headrace.toml").read_text())
    assert document["worker_classes"]["gpu"]["device"] == "cuda"


def test_targets_of_the_compose_file_are_stages_of_the_dockerfile() -> None:
    targets = {(spec["build"]["target"], spec["image"]) for spec in OURS.values()}

    assert {("cpu", "headrace:cpu"), ("cuda", "headrace:cuda")} == targets
    assert {target for target, _ in targets} <= set(stages())


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_the_image_runs_as_an_ordinary_user_under_tini(target: str) -> None:
    lines = stages()[target]

    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    entry = [json.loads(line.removeprefix("ENTRYPOINT ")) for line in lines if line.startswith("ENTRYPOINT ")]
    assert users == ["headrace"]
    assert any("useradd" in line and "--uid 10001" in line and "headrace" in line for line in lines)
    assert entry == [["tini", "--"]]
    assert any("apt-get install" in line and " tini" in line for line in lines)
    assert lines[-1] == f"COPY --from=dependencies-{target} /opt/venv /opt/venv"


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    sources = [word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]]

    assert sources
    assert [] == [source for source in sources if not (CHECKOUT / source).exists()]
    assert [] == [source for source in sources if f"!{source}" not in IGNORE]
    assert "*" in IGNORE


def test_every_package_of_the_services_is_in_the_image() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    packages = project["tool"]["importlinter"]["root_packages"]

    assert [] == [package for package in packages if f"{package} {package}" not in instructions("COPY")]


def test_versions_are_those_of_the_constraints_and_extras_exist() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    installs = [line for line in instructions("RUN") if line.startswith("pip install")]

    asked = {extra for line in installs for found in re.findall(r"\.\[([\w,]+)\]", line) for extra in found.split(",")}
    assert asked <= set(project["optional-dependencies"])
    for line in installs:
        assert "--constraint constraints.txt" in line or "^torch==" in line
    [base] = [line.split()[0] for line in instructions("FROM") if line.startswith("python:")]
    assert base.startswith("python:3.11")
    assert project["requires-python"] == ">=3.11"


def test_the_page_on_deploying_knows_each_service_secret_and_port() -> None:
    page = (CHECKOUT / "docs" / "deploying.md").read_text()

    names = {f"`{name}`" for name in SERVICES} | {f"deploy/secrets/{name}" for name in COMPOSE["secrets"]}
    assert [] == sorted(name for name in names if name not in page)
    assert "http://127.0.0.1:8080" in page
    assert "http://127.0.0.1:5555" in page
