"""The metrics of a running system, as Prometheus finds and reads them."""

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from scheduler.embedded_server import free_port
from tests.e2e.test_up import READING, Up, wait_for

pytestmark = pytest.mark.slow

#: What one request for the API and one job leave behind.
EXPECTED = {
    "api": 'headrace_http_requests_total{method="POST",route="/v1/jobs",status="200"}',
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
    """A running system that has done a job."""
    up = Up(tmp_path_factory.mktemp("metrics"), {"HEADRACE_METRICS_PORT": str(free_port())})
    try:
        up.push()
        wait_for(up.serves, "a job")
        assert isinstance(up.client.run("numpy_scorer", READING, timeout_s=30.0), float)
        wait_for(lambda: targets_of(up).keys() >= EXPECTED.keys(), "everybody says where its metrics are")
        yield up
    finally:
        up.end()


@pytest.mark.parametrize("service", EXPECTED)
def test_promtool_finds_nothing_to_say_against_the_metrics(service: str, up: Up, program: Callable[[str], str]) -> None:
    page = httpx2.get(targets_of(up)[service], headers={"Accept": "text/plain"})

    command = [program("promtool"), "check", "metrics", "--extended"]
    checked = subprocess.run(command, input=page.text, capture_output=True, text=True, check=False)

    assert (0, "") == (checked.returncode, checked.stderr), page.text
    assert EXPECTED[service] in page.text


@pytest.mark.parametrize("service", EXPECTED)
def test_each_speaks_openmetrics_to_who_asks_for_it(service: str, up: Up) -> None:
    page = httpx2.get(targets_of(up)[service], headers={"Accept": "application/openmetrics-text;version=1.0.0"})

    assert page.headers["content-type"].startswith("application/openmetrics-text")
    assert page.text.endswith("# EOF\n")
