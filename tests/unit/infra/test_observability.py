"""Dashboard and alert rules name what exists, and leave nothing out unsaid."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from infra.grafana import DASHBOARD_FILE, dashboard, to_text
from streaming.metrics.declared import METRICS

ROOT = Path(__file__).parents[3]
RULES_FILE = ROOT / "infra" / "observability" / "alerts.yml"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load(RULES_FILE.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
PANELS = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
QUERIES = [target["expr"] for panel in PANELS for target in panel["targets"]]
QUERIES += [rule["expr"] for rule in RULES]

# What every target has, and what Prometheus adds.
OF_TARGET = {"instance", "job"}
FOREIGN = {"up": OF_TARGET}
# Metrics that neither a panel nor a rule shows, with the reason.
NOT_SHOWN: dict[str, str] = {}

TEXT = re.compile(r'"[^"]*"')
SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?")
GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)")
WORDS = re.compile(r"[a-zA-Z_]\w*")
FUNCTIONS_AND_WORDS = {
    *("absent", "changes", "deriv", "histogram_quantile", "increase", "predict_linear", "rate"),
    *("and", "max", "offset", "or", "sum", "time", "topk", "unless"),
}


def of_python() -> set[str]:
    """What prometheus-client itself tells of a process."""
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return {sample.name for family in registry.collect() for sample in family.samples}


def series() -> dict[str, set[str]]:
    """Every series that there is, with its labels."""
    known = dict.fromkeys(of_python(), OF_TARGET) | FOREIGN
    for metric in METRICS.values():
        for name in metric.series:
            extra = {"le"} if name.endswith("_bucket") else set()
            known[name] = {*metric.labels, *extra, *OF_TARGET}
    return known


def named(query: str) -> list[tuple[str, set[str]]]:
    """The series of a query, with the labels that it selects by."""
    plain = re.sub(r"\[[^\]]*\]|\b\d[\w.]*", "", GROUPING.sub("", TEXT.sub("", query)))
    return [
        (name, set(WORDS.findall(selector)))
        for name, selector in SELECTOR.findall(plain)
        if name not in FUNCTIONS_AND_WORDS
    ]


def test_the_reading_of_queries_sees_names_labels_and_nothing_else() -> None:
    query = 'topk(5, sum by (le, a) (rate(x_bucket{b="up", c!~"y"}[5m]))) > 2e3 and on (d) z == 0'
    assert named(query) == [("x_bucket", {"b", "c"}), ("z", set())]


@pytest.mark.parametrize("query", QUERIES)
def test_every_series_and_label_of_a_query_exists(query: str) -> None:
    known, found = series(), named(query)
    assert found
    for name, labels in found:
        assert name in known, name
        assert labels <= known[name], name
    grouped = {label for labels in GROUPING.findall(query) for label in WORDS.findall(labels)}
    # What is grouped by must be a label of everything that is named: else it is lost or empty.
    groups = [known[name] for name, _ in found if not name.startswith(("up", "process_"))]
    for labels in groups:
        assert grouped - OF_TARGET <= labels


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_calls_its_lines_by_labels_that_are_there(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        names = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        known = series()
        assert all(names <= known[name] for name, _ in named(target["expr"]))


def test_every_metric_is_shown_somewhere_or_left_out_on_purpose() -> None:
    shown = {name for query in QUERIES for name, _ in named(query)}
    left_out = {metric.name for metric in METRICS.values() if not shown & set(metric.series)}
    assert left_out == set(NOT_SHOWN)


def test_a_reason_that_a_query_selects_is_one() -> None:
    from features.validation import REASON_CODES

    selected = {reason for query in QUERIES for reason in re.findall(r'reason!?="(\w+)"', query)}
    assert selected <= set(REASON_CODES)


def test_the_dashboard_file_is_the_declaration() -> None:
    """`python -m infra.grafana` writes it."""
    assert DASHBOARD_FILE.read_text(encoding="utf-8") == to_text()


def test_panels_lie_side_by_side_and_never_over_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in ("critical", "warning")
    notes = rule["annotations"]
    assert notes.keys() == {"summary", "description", "runbook"}
    page, _, anchor = notes["runbook"].partition("#")
    headings = re.findall(r"^## (.+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in {heading.lower().replace(" ", "-") for heading in headings}


def test_prometheus_looks_where_streams_write_and_loads_the_rules() -> None:
    from infra.stream_metrics import FOLDER

    text = (RULES_FILE.parent / "prometheus.yml").read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    (scrape,) = config["scrape_configs"]
    assert scrape["job_name"] == "userflow"
    (place,) = scrape["file_sd_configs"][0]["files"]
    assert place == f".userflow/{FOLDER}/*.json"
    assert config["rule_files"] == [RULES_FILE.name]
