"""Alert rules and dashboard: they work, and ask for nothing that does not exist."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.compose_file import CHECKOUT, read_compose

PROMETHEUS = CHECKOUT / "deploy" / "prometheus"
DASHBOARD: dict[str, Any] = json.loads((CHECKOUT / "deploy" / "grafana" / "headrace.json").read_text())
[GROUP] = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
SCENARIOS = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
#: What a family's type adds to its name in queries.
PARTS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}

Promtool = Callable[..., None]


@pytest.fixture
def promtool(program: Callable[[str], str]) -> Promtool:
    """Runs promtool, which must not complain."""
    path = program("promtool")

    def run(*arguments: str) -> None:
        done = subprocess.run([path, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


def samples() -> Iterator[str]:
    """Every name that a query may use; the page is held to the code by a test of its own."""
    page = (CHECKOUT / "docs" / "metrics.md").read_text()
    for name, kind in re.findall(r"^\| `(headrace_\w+)` \| (\w+) \|", page, re.MULTILINE):
        yield from (name + part for part in PARTS.get(kind, ("",)))


def metrics_in(query: str) -> set[str]:
    return set(re.findall(r"\bheadrace_\w+", query))


def queries() -> list[tuple[str, str]]:
    return [(panel["title"], target["expr"]) for panel in DASHBOARD["panels"] for target in panel["targets"]]


def test_prometheus_accepts_its_configuration_and_the_rules(promtool: Promtool) -> None:
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))


def test_the_alerts_fire_when_they_should_and_only_then(promtool: Promtool) -> None:
    promtool("test", "rules", str(PROMETHEUS / "alerts_test.yml"))


def test_each_alert_has_a_scenario_in_which_it_fires_and_one_in_which_none_does() -> None:
    fired = [test["promql_expr_test"][0]["exp_samples"] for test in SCENARIOS]

    assert {rule["alert"] for rule in GROUP["rules"]} == set(re.findall(r"Headrace\w+", json.dumps(fired)))
    assert [] in fired


@pytest.mark.parametrize("rule", GROUP["rules"], ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_what_exists_and_says_what_to_do(rule: dict[str, Any]) -> None:
    assert metrics_in(rule["expr"])
    assert metrics_in(rule["expr"]) <= set(samples())
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert rule["annotations"].keys() == {"summary", "description"}


def test_scenarios_use_metrics_that_exist() -> None:
    series = {row["series"].partition("{")[0] for test in SCENARIOS for row in test["input_series"]}

    assert series <= set(samples())


@pytest.mark.parametrize(("title", "query"), queries())
def test_a_panel_asks_for_what_exists(title: str, query: str) -> None:
    assert metrics_in(query), title
    assert metrics_in(query) <= set(samples())


def test_the_queries_of_the_panels_can_be_read(promtool: Promtool, tmp_path: Path) -> None:
    given = {"$__rate_interval": "1m", "$model": ".*"}
    rules = []
    for i, (_, query) in enumerate(queries()):
        for name, value in given.items():
            query = query.replace(name, value)
        rules.append({"record": f"panel:{i}", "expr": query})
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))

    promtool("check", "rules", str(file))


def test_the_dashboard_shows_what_an_operator_asks_first() -> None:
    shown = " ".join(query for _, query in queries())

    for name in (
        *("headrace_queue_depth", "headrace_queue_oldest_age_seconds", "headrace_wait_objective_seconds"),
        *("headrace_batch_size_bucket", "headrace_workers_desired", "headrace_workers", "headrace_jobs_rescued_total"),
    ):
        assert name in metrics_in(shown)


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    cells = [
        (place["x"] + dx, place["y"] + dy)
        for place in (panel["gridPos"] for panel in panels)
        for dx in range(place["w"])
        for dy in range(place["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_grafana_is_provisioned_with_the_dashboard_and_with_the_source_that_it_names() -> None:
    compose = read_compose()
    [source] = yaml.safe_load((CHECKOUT / "deploy" / "grafana" / "datasource.yml").read_text())["datasources"]
    [provider] = yaml.safe_load((CHECKOUT / "deploy" / "grafana" / "dashboards.yml").read_text())["providers"]
    mounted = {config["source"]: config["target"] for config in compose["services"]["grafana"]["configs"]}

    assert {source["uid"]} == {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]}
    assert source["url"] == "http://prometheus:9090"
    assert Path(mounted["grafana_headrace"]).parent == Path(provider["options"]["path"])
