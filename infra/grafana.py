"""The Grafana dashboard, declared: `python -m infra.grafana` writes it for people to import.

Rows in the order of questions at night: is it running, is it behind, what is slow, what is bad,
what goes through, what does it hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["DASHBOARD_FILE", "dashboard", "to_text"]

DASHBOARD_FILE = Path(__file__).resolve().parent / "observability" / "dashboard.json"
WIDTH, HEIGHT = 24, 8
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
STREAM = 'stream=~"$stream"'


@dataclass(frozen=True, slots=True)
class Panel:
    """`queries`: PromQL and how its lines are called. `unit`: a unit of Grafana's."""

    title: str
    unit: str
    doc: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"


def _line(title: str, unit: str, query: str, legend: str, doc: str) -> Panel:
    return Panel(title, unit, doc, ((query, legend),))


def _number(title: str, unit: str, query: str, legend: str, doc: str) -> Panel:
    return Panel(title, unit, doc, ((query, legend),), "stat")


def _quantiles(title: str, histogram: str, doc: str) -> Panel:
    rate = f"sum by (stream, le) (rate({histogram}_bucket{{{STREAM}}}[$__rate_interval]))"
    queries = (
        (f"histogram_quantile({quantile}, {rate})", f"{{{{stream}}}} p{round(quantile * 100)}")
        for quantile in (0.5, 0.99)
    )
    return Panel(title, "s", doc, tuple(queries))


def _of(metric: str) -> str:
    return f"max by (stream) ({metric}{{{STREAM}}})"


def _rate(metric: str, by: str, selector: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{selector}[$__rate_interval]))"


def _of_stream(metric: str, by: str = "stream") -> str:
    return _rate(metric, by, f"{{{STREAM}}}")


_REJECTED = _rate("userflow_rejected_total", "topic", '{reason!="late"}')
_ACCEPTED = _rate("userflow_events_accepted_total", "topic")
_SPENT, _STAGES = (
    _of_stream(f"userflow_stage_duration_seconds_{part}", "stream, stage")
    for part in ("sum", "count")
)

ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Is it running?",
        (
            _number("Up", "short", 'up{job="userflow"}', "{{instance}}", "1: it answers."),
            _number(
                "Kafka answers", "short", "userflow_broker_up", "{{instance}}", "To this stream."
            ),
            _number(
                "Last epoch", "s", f"time() - {_of('userflow_epoch_committed_timestamp_seconds')}",
                "{{stream}}", "Ago. Much is fine if nothing comes in.",
            ),
            _number(
                "Epoch", "none", _of("userflow_epoch_number"), "{{stream}}",
                "The number of the last one.",
            ),
            _number(
                "Queries begun again in an hour", "short",
                f"sum by (stream) (increase(userflow_query_restarts_total{{{STREAM}}}[1h]))",
                "{{stream}}", "By the process itself.",
            ),
            _number(
                "Versions", "short", "userflow_build_info",
                "{{version}}, Spark {{spark}}, deltalake {{deltalake}}", "What runs.",
            ),
        ),
    ),
    (
        "Is it behind?",
        (
            _line(
                "Lag", "short", f"sum by (stream) (userflow_lag_records{{{STREAM}}})", "{{stream}}",
                "Records in Kafka that no epoch has read.",
            ),
            _line(
                "Lag of the slowest partitions", "short",
                f"topk(5, userflow_lag_records{{{STREAM}}})", "{{topic}}/{{partition}}",
                "One that stands out has a hot key or a sick leader.",
            ),
            _quantiles(
                "Freshness", "userflow_freshness_seconds",
                "From the arrival of an event until all stores had it.",
            ),
            Panel(
                "Watermark", "s", "How far behind it was at the last epoch, and how far it is now.",
                (
                    (_of("userflow_watermark_lag_seconds"), "{{stream}} at the last epoch"),
                    (f"time() - {_of('userflow_watermark_timestamp_seconds')}", "{{stream}} now"),
                ),
            ),
            _line(
                "Decay", "s", "max by (view) (userflow_decay_lag_seconds)", "{{view}}",
                "How long what time alone changes yields to fresh events; at most five minutes.",
            ),
        ),
    ),
    (
        "What is slow?",
        (
            _quantiles("Epochs", "userflow_epoch_duration_seconds", "What an epoch takes."),
            _line(
                "Stages", "s", f"{_SPENT} / {_STAGES}", "{{stream}} {{stage}}",
                "Mean of an epoch. `process` is Spark and the keyed steps.",
            ),
            _line(
                "Epochs a second", "short", _of_stream("userflow_epochs_total"), "{{stream}}",
                "Few and long ones catch up; many and short ones are up to date.",
            ),
        ),
    ),
    (
        "What is bad?",
        (
            _line(
                "Rejected a second", "short", _rate("userflow_rejected_total", "topic, reason"),
                "{{topic}} {{reason}}", "Dead letters, by reason.",
            ),
            _line(
                "Rejected share", "percentunit",
                f"{_REJECTED} / ({_REJECTED} + {_ACCEPTED} > 0)", "{{topic}}",
                "Of all events but copies and late ones.",
            ),
            _line(
                "Late a second", "short", _rate("userflow_late_total", "view"), "{{view}}",
                "Too late for this view alone.",
            ),
            _line(
                "Keys with too much", "short", _rate("userflow_capped_keys_total", "view"),
                "{{view}}", "The log of epochs names them under `capped`.",
            ),
            _line(
                "Rows set aside", "short",
                "sum by (store, target) (userflow_refused_rows_total)", "{{store}} {{target}}",
                "Since the process began. No other try would store them.",
            ),
            Panel(
                "Copies and repeated epochs", "short", "Senders that resend; epochs after a crash.",
                (
                    (_of_stream("userflow_duplicates_total"), "{{stream}} copies"),
                    (_of_stream("userflow_epoch_repeats_total"), "{{stream}} repeats"),
                ),
            ),
        ),
    ),
    (
        "What goes through?",
        (
            _line(
                "Records in", "cps", _of_stream("userflow_records_in_total"), "{{stream}}",
                "Read from Kafka.",
            ),
            _line("Accepted", "cps", _ACCEPTED, "{{topic}}", "Events that count."),
            _line(
                "Rows out", "cps", _rate("userflow_rows_out_total", "view, store"),
                "{{view}} {{store}}", "Changed or deleted.",
            ),
            _line(
                "Messages out", "cps", _rate("userflow_messages_out_total", "topic"), "{{topic}}",
                "Dead letters, rows and findings.",
            ),
        ),
    ),
    (
        "What does it hold?",
        (
            _line(
                "State", "bytes", _of("userflow_state_bytes"),
                "{{stream}}", "Of Spark's state stores.",
            ),
            _line(
                "Keys", "short", _of("userflow_state_keys"), "{{stream}}",
                "Sessions, users, products that are remembered.",
            ),
            _line(
                "Memory of the driver's Python", "bytes",
                'process_resident_memory_bytes{job="userflow"}', "{{instance}}",
                "Spark's JVM is a process of its own.",
            ),
            _line(
                "CPU of the driver's Python", "percentunit",
                'rate(process_cpu_seconds_total{job="userflow"}[$__rate_interval])', "{{instance}}",
                "1 is a core.",
            ),
        ),
    ),
)  # fmt: skip


def dashboard() -> dict[str, Any]:
    """What Grafana imports; it asks which Prometheus to use."""
    return {
        "title": "userflow streams",
        "uid": "userflow-streams",
        "schemaVersion": 39,
        "tags": ["userflow"],
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [_data_source(), _streams()]},
        "panels": list(_panels()),
    }


def to_text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=2, ensure_ascii=False) + "\n"


def _panels() -> Iterator[dict[str, Any]]:
    top = number = 0
    for title, panels in ROWS:
        at = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        yield {"id": (number := number + 1), "type": "row", "title": title, "gridPos": at}
        width = WIDTH // len(panels)
        for place, panel in enumerate(panels):
            at = {"x": place * width, "y": top + 1, "w": width, "h": HEIGHT}
            yield {"id": (number := number + 1), "gridPos": at, **_panel(panel)}
        top += 1 + HEIGHT


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.doc,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "expr": query, "legendFormat": legend}
            for number, (query, legend) in enumerate(panel.queries)
        ],
    } | ({"options": {"textMode": "value_and_name"}} if panel.kind == "stat" else {})


def _data_source() -> dict[str, Any]:
    return {"name": "datasource", "type": "datasource", "query": "prometheus"}


def _streams() -> dict[str, Any]:
    return {
        "name": "stream",
        "type": "query",
        "datasource": SOURCE,
        "query": "label_values(userflow_epochs_total, stream)",
        "refresh": 2,
        "includeAll": True,
        "multi": True,
    }


if __name__ == "__main__":
    DASHBOARD_FILE.write_text(to_text(), encoding="utf-8")
