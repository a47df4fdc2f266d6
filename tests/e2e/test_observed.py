"""A running system as those see it who watch it: its metrics, as Prometheus finds and reads them, and its log."""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from scheduler.embedded_server import free_port
from tests.e2e.test_up import READING, Up, wait_for

pytestmark = pytest.mark.slow

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#: Shows in no line of the log.
CANARY = 123456.75
#: What one request for the API and one job leave behind.
EXPECTED = {
    # 200 if the job ended while its submitter waited, 202 on a slower machine.
    "api": 'headrace_http_requests_total{method="POST",route="/v1/jobs",status="20',
    "scheduler": 'headrace_job_service_seconds_count{model="numpy_scorer@1",tier="standard"}',
    "worker": 'headrace_batch_size_count{model="numpy_scorer@1"}',
    "courier": "headrace_webhook_attempts_under_way",
}


def targets_of(up: Up) -> dict[str, str]:
    """Service -> URL of its metrics, as the system itself lists them."""
    groups: list[dict[str, Any]] = httpx2.get(f"http://127.0.0.1:{up.port}/v1/metrics/targets").json()
    found = {group["labels"]["service"]: f"http://{group['targets'][0]}/metrics" for group in groups}
    return found | {"api": f"http://127.0.0.1:{up.port}/metrics"}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A running system that logs as JSON and has done a job."""
    settings = {"HEADRACE_METRICS_PORT": str(free_port()), "HEADRACE_LOG_FORMAT": "json", "HEADRACE_LOG_LEVEL": "DEBUG"}
    up = Up(tmp_path_factory.mktemp("observed"), settings)
    try:
        up.push()
        wait_for(lambda: up.serves() and up.serves(), "a job, and another when the model is loaded")
        wait_for(lambda: targets_of(up).keys() >= EXPECTED.keys(), "everybody says where its metrics are")
        yield up
    finally:
        up.end()


def lines_of(up: Up) -> list[dict[str, str]]:
    """Its log, each line of which must be an object; the last may still be being written."""
    return [json.loads(line) for line in up.log.read_text().rpartition("\n")[0].splitlines()]


@pytest.mark.parametrize("service", EXPECTED)
def test_promtool_finds_nothing_to_say_against_the_metrics(service: str, up: Up, program: Callable[[str], str]) -> None:
    url = targets_of(up)[service]
    wait_for(lambda: EXPECTED[service] in httpx2.get(url, headers={"Accept": "text/plain"}).text, "it has been counted")
    page = httpx2.get(url, headers={"Accept": "text/plain"})

    command = [program("promtool"), "check", "metrics", "--extended"]
    checked = subprocess.run(command, input=page.text, capture_output=True, text=True, check=False)

    assert (0, "") == (checked.returncode, checked.stderr), page.text


@pytest.mark.parametrize("service", EXPECTED)
def test_each_speaks_openmetrics_to_who_asks_for_it(service: str, up: Up) -> None:
    page = httpx2.get(targets_of(up)[service], headers={"Accept": "application/openmetrics-text;version=1.0.0"})

    assert page.headers["content-type"].startswith("application/openmetrics-text")
    assert page.text.endswith("# EOF\n")


def test_every_line_of_every_process_is_a_json_object(up: Up) -> None:
    lines = lines_of(up)

    assert {"api", "scheduler", "worker", "model", "up", "redis"} <= {line["service"] for line in lines}
    assert all(line["message"] and line["time"].endswith("Z") for line in lines)
    assert any(line.get("logger", "").startswith("celery") for line in lines)


def test_a_trace_can_be_followed_from_the_request_to_the_workers_log_and_the_result(up: Up) -> None:
    url = f"http://127.0.0.1:{up.port}/v1/jobs"
    body = {"model": "numpy_scorer", "input": {**READING, "flow": CANARY}}

    answer = httpx2.post(url, json=body, headers={"traceparent": TRACE, "Prefer": "wait=30"}, timeout=60)
    job = answer.json()["id"]
    wait_for(lambda: any(line.get("job") == job for line in lines_of(up)), "the worker's line about the job")

    [line] = [line for line in lines_of(up) if line.get("job") == job]
    assert (line["service"], line["trace"]) == ("worker", TRACE.split("-")[1])
    assert answer.headers["traceparent"] == TRACE
    assert httpx2.get(f"{url}/{job}/result").headers["traceparent"] == TRACE
    assert str(CANARY) not in up.log.read_text()
