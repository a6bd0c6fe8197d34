"""What the benchmarks print: the answer first, the conditions always."""

from __future__ import annotations

import json
from dataclasses import replace

from benchmarks import report
from benchmarks.batch import Batch
from benchmarks.freshness import Floor, Freshness
from benchmarks.state_growth import Growth
from benchmarks.throughput import ALL, NO_OP, Figure, ratios

CONDITIONS = {"cores": 2, "memory_gb": 24}
FIGURES = [
    Figure(
        path=NO_OP,
        events=1_000_000,
        seconds=20.0,
        steady=88_000.0,
        stolen=0.0,
        epochs=4,
        rows=90_000,
        stages={"process": 11.04, "clock": 0.0},
    ),
    Figure(path="Flink SQL", events=1_000_000, seconds=25.0, steady=80_000.0, stolen=0.01),
    Figure(path="applyInPandasWithState", events=200_000, seconds=40.0, steady=6_200.0, stolen=0.0),
    Figure(path=ALL, events=1_000_000, seconds=25.0, steady=42_000.0, stolen=0.0, epochs=4),
]
FRESH = Freshness(
    job="webtoon",
    rate=1000.0,
    seconds=60.0,
    sent_per_second=999.9,
    samples=3000,
    unread=0,
    latency_ms={"p50": 480.4, "p95": 800.0, "p99": 976.0, "max": 1204.0},
    floor=Floor(epochs=110, every=0.545, between=0.12, parts={"process": 0.3, "redis": 0.02}),
    stolen=0.0,
)


def growth(keys: int, steady: float) -> Growth:
    return Growth(
        job="webtoon",
        keys=keys,
        live=keys + 7,
        events=600_000,
        steady=steady,
        state_bytes=3 << 20,
        memory_bytes={"driver": 1 << 20, "jvm": 2 << 30, "workers": 5 << 20},
        stolen=0.0,
    )


def test_ratios_compare_no_op_sinks_and_come_first() -> None:
    assert ratios(FIGURES) == {"Flink SQL": 1.1, "applyInPandasWithState": 88_000 / 6_200}
    text = report.throughput(FIGURES, CONDITIONS, as_json=False)
    assert text.splitlines()[0] == "1.1 x Flink SQL, 14 x applyInPandasWithState"
    assert text.splitlines()[-1] == "cores 2, memory gb 24"
    assert f"{NO_OP}: process 11.0 s" in text


def test_without_peers_the_table_comes_first() -> None:
    text = report.throughput([FIGURES[0], FIGURES[3]], CONDITIONS, as_json=False)
    assert text.splitlines()[0].split()[:2] == ["path", "steady/s"]


def test_the_document_has_ratios_figures_and_conditions() -> None:
    document = json.loads(report.throughput(FIGURES, CONDITIONS, as_json=True))
    assert document["conditions"] == CONDITIONS
    assert document["ratios"]["Flink SQL"] == 1.1
    assert [figure["overall"] for figure in document["figures"]] == [50_000, 40_000, 5_000, 40_000]


def test_freshness_says_what_the_floor_is_made_of() -> None:
    text = report.freshness([FRESH], CONDITIONS, as_json=False)
    row = text.splitlines()[3].split()
    assert row == ["1,000", "480", "800", "976", "1,204", "3,000", "0", "1,000", "0%"]
    assert (
        "at 1,000 events/s an epoch ended every 0.545 s (110 epochs): process 0.300 s, "
        "redis 0.020 s; between epochs 0.120 s"
    ) in text
    (figure,) = json.loads(report.freshness([FRESH], CONDITIONS, as_json=True))["figures"]
    assert figure["latency_ms"]["p99"] == 976.0


def test_a_floor_of_too_few_epochs_is_not_made_up() -> None:
    none = replace(FRESH, floor=Floor(epochs=1, every=0.0, between=0.0, parts={}))
    text = report.freshness([none], CONDITIONS, as_json=False)
    assert "at 1,000 events/s too few epochs ended" in text


def test_state_growth_compares_with_the_smallest() -> None:
    figures = [growth(10_000, 50_000.0), growth(1_000_000, 45_000.0)]
    text = report.state_growth(figures, CONDITIONS, as_json=False)
    last = text.splitlines()[2].split()
    assert last == ["1,000,000", "1,000,007", "45,000", "0.90", "3", "1", "2,048", "5", "0%"]
    document = json.loads(report.state_growth(figures, CONDITIONS, as_json=True))
    assert [figure["of_smallest"] for figure in document["figures"]] == [1.0, 0.9]


def test_a_day_is_told_by_step_and_as_a_whole() -> None:
    seconds = {"reading": 10.0, "checking": 2.5, "writing": 3.5, "marts": 4.0}
    figure = Batch(events=1_000_000, failed=2000, bytes=345 << 20, seconds=seconds, stolen=0.1)
    lines = report.batch(figure, CONDITIONS, as_json=False).splitlines()
    assert lines[0] == "1,000,000 events of a day (345 MB), 2,000 left out; host took 10%"
    assert [line.split() for line in lines if line.startswith(("reading", "load ", "all"))] == [
        ["reading", "10.0", "100,000"],
        ["load", "16.0", "62,500"],
        ["all", "20.0", "50,000"],
    ]
    document = json.loads(report.batch(figure, CONDITIONS, as_json=True))
    assert document["figures"][0]["events_per_second"] == 50_000
