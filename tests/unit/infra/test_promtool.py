"""What Prometheus itself says of the rules, the configuration and the dashboard's queries.

`promtool` comes with Debian's package `prometheus`; where it is not installed this is skipped.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.grafana import dashboard

PROMTOOL = shutil.which("promtool")
FOLDER = Path(__file__).parents[3] / "infra" / "observability"
pytestmark = pytest.mark.skipif(
    PROMTOOL is None, reason="needs promtool: apt-get install prometheus"
)
NOW = 600  # seconds


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(
        [str(PROMTOOL), *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        cwd=FOLDER,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_configuration_and_its_rules_are_accepted() -> None:
    promtool("check", "config", "prometheus.yml")
    promtool("check", "rules", "alerts.yml")


def test_every_query_of_the_dashboard_is_one(tmp_path: Path) -> None:
    """As a recording rule each: those are parsed when they are checked."""
    panels = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    assert queries
    rules = [
        # What Grafana fills in when it asks.
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(queries)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", file)


LAG = 'userflow_lag_records{stream="webtoon",topic="t",partition="0",instance="i",job="userflow"}'
COMMITTED = 'userflow_epoch_committed_timestamp_seconds{stream="webtoon",job="userflow"}'
UP = 'up{job="userflow",instance="i"}'


@pytest.mark.parametrize(
    ("series", "alert", "labels"),
    [
        ({UP: "0x40"}, "UserflowStreamDown", {"job": "userflow", "instance": "i"}),
        ({UP: "1x40"}, "UserflowStreamDown", None),
        ({UP: "_x40"}, "UserflowNoStream", {"job": "userflow"}),
        ({COMMITTED: "1x40", LAG: "7x40"}, "UserflowNoEpoch", {"stream": "webtoon"}),
        ({COMMITTED: "1x40", LAG: "0x40"}, "UserflowNoEpoch", None),
        ({COMMITTED: "0+15x40", LAG: "7x40"}, "UserflowNoEpoch", None),
    ],
    ids=str,
)
def test_an_alert_goes_off_when_it_should(
    series: dict[str, str], alert: str, labels: dict[str, str] | None, tmp_path: Path
) -> None:
    """A sample every 15 s; looked at after ten minutes, of which no rule needs more."""
    rule = _rule(alert)
    fired = {
        "exp_labels": {**(labels or {}), **rule["labels"]},
        "exp_annotations": {
            name: text.replace("{{ $labels.stream }}", (labels or {}).get("stream", "")).replace(
                "{{ $labels.instance }}", (labels or {}).get("instance", "")
            )
            for name, text in rule["annotations"].items()
        },
    }
    case = {
        "interval": "15s",
        "input_series": [{"series": name, "values": of} for name, of in series.items()],
        "alert_rule_test": [
            {
                "eval_time": f"{NOW}s",
                "alertname": alert,
                "exp_alerts": [] if labels is None else [fired],
            }
        ],
    }
    file = tmp_path / "case.yml"
    document = {"rule_files": [str(FOLDER / "alerts.yml")], "tests": [case]}
    file.write_text(yaml.safe_dump(document))
    promtool("test", "rules", file)


def _rule(alert: str) -> dict[str, Any]:
    groups = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return next(rule for group in groups for rule in group["rules"] if rule["alert"] == alert)
