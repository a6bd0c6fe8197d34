"""Write docs/metrics.md from the metrics' own declarations: `python -m infra.metrics_docs`."""

from __future__ import annotations

from pathlib import Path

from features.metrics import Metric
from serving.metrics import declared as api
from streaming.metrics.declared import LABELS, METRICS

__all__ = ["DOCS_FILE", "metrics_page"]

DOCS_FILE = Path(__file__).resolve().parent.parent / "docs" / "metrics.md"
HEAD = """# Metrics

What `userflow stream` serves on `/metrics`, beside what prometheus-client tells of the Python
process (`process_…`, `python_…`). How to use them: [howto/observe.md](howto/observe.md). Generated
by `python -m infra.metrics_docs`.

| metric | type | labels | unit | meaning |
|---|---|---|---|---|
"""
OF_API = """
## The API

What `userflow serve` serves on `/metrics`; with several workers, each for itself.
How to use it: [howto/serve-features.md](howto/serve-features.md).

| metric | type | labels | meaning |
|---|---|---|---|
"""
OF_LABELS = """
## Labels

| label | values |
|---|---|
"""
OF_BUCKETS = """
## Buckets

| histogram | upper bounds |
|---|---|
"""


def metrics_page() -> str:
    """The whole page."""
    rows = "".join(map(_row, METRICS.values()))
    labels = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in LABELS.items())
    buckets = "".join(_buckets(metric) for metric in METRICS.values() if metric.buckets)
    return HEAD + rows + OF_LABELS + labels + OF_BUCKETS + buckets + _of_api()


def _of_api() -> str:
    rows = "".join(
        f"| `{one.name}` | {one.kind.value} | {_named(one.labels)} | {one.help} |\n"
        for one in api.METRICS.values()
    )
    labels = "".join(f"| `{name}` | {meaning} |\n" for name, meaning in api.LABELS.items())
    return f"{OF_API}{rows}\n| label | values |\n|---|---|\n{labels}"


def _row(metric: Metric) -> str:
    kind, labels = metric.kind.value, _named(metric.labels)
    return f"| `{metric.name}` | {kind} | {labels} | {metric.unit} | {metric.help} |\n"


def _named(labels: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in labels)


def _buckets(metric: Metric) -> str:
    bounds = ", ".join(f"{bound:g}" for bound in metric.buckets)
    return f"| `{metric.name}` | {bounds} |\n"


if __name__ == "__main__":
    DOCS_FILE.write_text(metrics_page(), encoding="utf-8")
