"""A report goes in, the lines that Prometheus reads come out."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from features.metrics import Kind
from features.topics import DEAD_LETTERS
from streaming.jobs import JOBS
from streaming.metrics.declared import LABELS, METRICS
from streaming.metrics.lag import Lag
from streaming.metrics.listener import EpochMetrics
from streaming.metrics.values import Values, counts_up_to
from streaming.ports import DEAD, Clock, Epoch, Output, refusals
from streaming.report import EpochReport
from streaming.source import end_offsets

TOPIC = "webtoon_user_events"
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000
VERSIONS = ("0.1.0", "4.2.0", "1.6.1")
PLACE = {"topic": TOPIC, "partition": 0}


def came(*seconds_ago: float) -> pl.DataFrame:
    """Accepted events that reached us so long before the stores had them."""
    at = [NOW - timedelta(seconds=ago) for ago in seconds_ago]
    return pl.DataFrame({"received_at": at}, schema={"received_at": pl.Datetime("us", "UTC")})


def dead(*reasons: str) -> pl.DataFrame:
    rows = [{**PLACE, "offset": n, "reason_code": code} for n, code in enumerate(reasons)]
    return pl.DataFrame(rows, schema=DEAD)


def report(**change: Any) -> EpochReport:
    """An epoch of eight records: four accepted, one copy, three rejected."""
    made = EpochReport(
        epoch=Epoch(
            job="webtoon",
            checkpoint_id="c",
            number=41,
            generation=1,
            committed_at_us=NOW_US - 250_000,
        ),
        output=Output(
            rows={"session_features": pl.DataFrame({"n": [1, 2, 3]})},
            gone={"session_features": pl.DataFrame({"n": [4]})},
            events={TOPIC: came(0.05, 0.2, 1.25, 90)},
            dead=dead("not_json", "late", "not_json"),
            rows_in=8,
            duplicates=1,
            sent={"alerts": pl.DataFrame({"n": [1, 2]})},
        ),
        clock=Clock(watermark_us=NOW_US - 12_250_000, offsets={f"{TOPIC}/0": 70}),
        is_repeat=False,
        seconds=0.75,
        stages={"process": 0.5, "postgres": 0.125, "redis": 0.125},
        late_for={"user_features": 2},
        capped={"user_features": {"a bot": 7, "a crawler": 1}},
        decay_lag={"user_features": 61.5},
        refused=refusals("redis", "user_features", pl.Series(["a secret key"] * 2), "too large"),
        lag={},
        live_keys=12,
        state_bytes=3 << 20,
    )
    return replace(made, **change)


def metrics(*reports: EpochReport) -> EpochMetrics:
    listener = EpochMetrics([JOBS["webtoon"]], VERSIONS, now_us=lambda: NOW_US)
    for one in reports:
        listener(one)
    return listener


def lines(collector: Any) -> list[str]:
    """The samples as Prometheus reads them."""
    registry = CollectorRegistry()
    registry.register(collector)
    text = generate_latest(registry).decode()
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_an_epoch_is_told_in_full() -> None:
    not_counted = {line for line in lines(metrics()) if line.endswith(" 0.0")}
    told = [line for line in lines(metrics(report())) if line not in not_counted]
    assert [line for line in told if "_bucket" not in line] == [
        'userflow_records_in_total{stream="webtoon"} 8.0',
        f'userflow_events_accepted_total{{topic="{TOPIC}"}} 4.0',
        'userflow_duplicates_total{stream="webtoon"} 1.0',
        f'userflow_rejected_total{{reason="not_json",topic="{TOPIC}"}} 2.0',
        f'userflow_rejected_total{{reason="late",topic="{TOPIC}"}} 1.0',
        'userflow_late_total{view="user_features"} 2.0',
        'userflow_capped_keys_total{view="user_features"} 2.0',
        'userflow_rows_out_total{store="postgres",view="session_features"} 4.0',
        'userflow_rows_out_total{store="redis",view="session_features"} 4.0',
        'userflow_refused_rows_total{store="redis",target="user_features"} 2.0',
        'userflow_messages_out_total{topic="alerts"} 2.0',
        f'userflow_messages_out_total{{topic="{DEAD_LETTERS}"}} 3.0',
        'userflow_watermark_timestamp_seconds{stream="webtoon"} 1.79353438775e+09',
        'userflow_watermark_lag_seconds{stream="webtoon"} 12.0',
        'userflow_decay_lag_seconds{view="user_features"} 61.5',
        'userflow_freshness_seconds_count{stream="webtoon"} 4.0',
        'userflow_freshness_seconds_sum{stream="webtoon"} 91.5',
        'userflow_epochs_total{stream="webtoon"} 1.0',
        'userflow_epoch_number{stream="webtoon"} 41.0',
        'userflow_epoch_committed_timestamp_seconds{stream="webtoon"} 1.79353439975e+09',
        'userflow_epoch_duration_seconds_count{stream="webtoon"} 1.0',
        'userflow_epoch_duration_seconds_sum{stream="webtoon"} 0.75',
        'userflow_stage_duration_seconds_count{stage="process",stream="webtoon"} 1.0',
        'userflow_stage_duration_seconds_sum{stage="process",stream="webtoon"} 0.5',
        'userflow_stage_duration_seconds_count{stage="postgres",stream="webtoon"} 1.0',
        'userflow_stage_duration_seconds_sum{stage="postgres",stream="webtoon"} 0.125',
        'userflow_stage_duration_seconds_count{stage="redis",stream="webtoon"} 1.0',
        'userflow_stage_duration_seconds_sum{stage="redis",stream="webtoon"} 0.125',
        'userflow_state_keys{stream="webtoon"} 12.0',
        'userflow_state_bytes{stream="webtoon"} 3.145728e+06',
        'userflow_build_info{deltalake="1.6.1",spark="4.2.0",version="0.1.0"} 1.0',
    ]


def test_an_event_is_in_the_bucket_of_its_wait_and_in_all_above() -> None:
    found = [line for line in lines(metrics(report())) if "freshness_seconds_bucket" in line]
    counts = {line.split('"')[1]: float(line.split()[-1]) for line in found}
    assert (counts["0.05"], counts["0.1"], counts["0.2"]) == (1, 1, 2)
    assert (counts["1.0"], counts["1.5"], counts["60.0"], counts["+Inf"]) == (2, 3, 3, 4)


def test_epochs_add_up_and_gauges_show_the_last_one() -> None:
    second = report(
        epoch=replace(report().epoch, number=42), is_repeat=True, live_keys=None, state_bytes=None
    )
    told = lines(metrics(report(), second))
    assert 'userflow_epochs_total{stream="webtoon"} 2.0' in told
    assert 'userflow_epoch_repeats_total{stream="webtoon"} 1.0' in told
    assert 'userflow_epoch_number{stream="webtoon"} 42.0' in told
    assert 'userflow_freshness_seconds_count{stream="webtoon"} 8.0' in told
    assert 'userflow_state_keys{stream="webtoon"} 12.0' in told


def test_an_empty_epoch_before_any_event_is_an_epoch() -> None:
    nothing = Output(rows={}, events={}, dead=dead(), rows_in=0, duplicates=0)
    told = lines(metrics(report(output=nothing, clock=Clock(), capped={}, late_for={})))
    assert 'userflow_epochs_total{stream="webtoon"} 1.0' in told
    assert not any("freshness" in line or "watermark" in line for line in told)


def test_a_clock_ahead_of_ours_makes_no_negative_wait() -> None:
    output = replace(report().output, events={TOPIC: came(-3600)})
    assert 'userflow_freshness_seconds_sum{stream="webtoon"} 0.0' in lines(
        metrics(report(output=output))
    )


def test_no_key_and_no_payload_is_told() -> None:
    told = "".join(lines(metrics(report())))
    assert "bot" not in told
    assert "secret" not in told


def test_what_can_happen_is_known_as_0_before_it_does() -> None:
    told = lines(metrics())
    assert f'userflow_rejected_total{{reason="too_old",topic="{TOPIC}"}} 0.0' in told
    assert 'userflow_late_total{view="session_features"} 0.0' in told
    assert 'userflow_query_restarts_total{stream="webtoon"} 0.0' in told
    assert 'userflow_epoch_committed_timestamp_seconds{stream="webtoon"} 0.0' in told


def test_a_stream_that_nothing_wakes_may_be_without_an_epoch() -> None:
    told = lines(EpochMetrics([JOBS["sources"]], VERSIONS))
    assert not any("committed" in line for line in told)


def test_restarts_are_counted_by_stream() -> None:
    listener = metrics()
    listener.restarted("webtoon")
    assert 'userflow_query_restarts_total{stream="webtoon"} 1.0' in lines(listener)


def test_a_scrape_sees_all_of_an_epoch_or_nothing() -> None:
    listener, done = metrics(), threading.Event()

    def run() -> None:
        for _ in range(200):
            listener(report())
        done.set()

    worker = threading.Thread(target=run)
    worker.start()
    while not done.is_set():
        told = dict(line.rsplit(" ", 1) for line in lines(listener))
        epochs = float(told['userflow_epochs_total{stream="webtoon"}'])
        assert float(told['userflow_records_in_total{stream="webtoon"}']) == 8 * epochs
        stage = 'userflow_stage_duration_seconds_count{stage="redis",stream="webtoon"}'
        assert float(told.get(stage, 0)) == epochs
    worker.join()


def test_two_in_one_process_know_nothing_of_each_other() -> None:
    metrics(report())
    assert 'userflow_epochs_total{stream="webtoon"} 0.0' in lines(metrics())


@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=8, unique=True).map(sorted),
    st.lists(st.floats(0, 200), max_size=50),
)
def test_counts_are_those_of_a_naive_loop(bounds: list[float], observed: list[float]) -> None:
    counts = counts_up_to(bounds, pl.Series(observed, dtype=pl.Float64))
    naive = [sum(1 for one in observed if one <= bound) for bound in bounds]
    assert counts == [*naive, len(observed)]


def test_a_metric_that_is_not_declared_is_an_error() -> None:
    with pytest.raises(KeyError):
        Values().add("userflow_rejectd_total", 1)


class TestLag:
    def lag(self, ends: Any, clock: Clock | None) -> list[str]:
        clocks = {} if clock is None else {"webtoon": clock}
        return lines(Lag([JOBS["webtoon"], JOBS["sources"]], lambda: clocks, ends))

    def test_it_is_what_stands_in_kafka_and_no_epoch_has_read(self) -> None:
        ends = {f"{TOPIC}/0": 100, f"{TOPIC}/1": 30, "transactions/0": 9}
        told = self.lag(lambda _: ends, Clock(offsets={f"{TOPIC}/0": 70}))
        assert told == [
            f'userflow_lag_records{{partition="0",stream="webtoon",topic="{TOPIC}"}} 30.0',
            f'userflow_lag_records{{partition="1",stream="webtoon",topic="{TOPIC}"}} 30.0',
            "userflow_broker_up 1.0",
        ]

    def test_an_epoch_that_ends_after_the_broker_was_asked_leaves_no_negative_lag(self) -> None:
        told = self.lag(lambda _: {f"{TOPIC}/0": 60}, Clock(offsets={f"{TOPIC}/0": 70}))
        assert told[0].endswith(" 0.0")

    def test_before_the_first_epoch_nobody_knows(self) -> None:
        assert self.lag(lambda _: {f"{TOPIC}/0": 60}, None) == ["userflow_broker_up 1.0"]

    def test_a_broker_that_is_away_is_waited_for_no_longer_than_said(self) -> None:
        ends, started = end_offsets("127.0.0.1:1", timeout=0.3), time.monotonic()
        assert self.lag(ends, Clock()) == ["userflow_broker_up 0.0"]
        assert time.monotonic() - started < 3

    def test_a_broker_that_is_away_is_told_and_fails_nothing(self) -> None:
        def away(_: object) -> dict[str, int]:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))

        assert self.lag(away, Clock()) == ["userflow_broker_up 0.0"]


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_names_keep_to_the_conventions_of_prometheus(metric: Any) -> None:
    assert metric.name.startswith("userflow_")
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert bool(metric.buckets) == (metric.kind is Kind.HISTOGRAM)
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert set(metric.labels) <= LABELS.keys()
    assert metric.help.endswith(".")
    assert metric.kind is not Kind.HISTOGRAM or metric.unit == "seconds"


def test_every_label_that_is_explained_is_used() -> None:
    assert {label for metric in METRICS.values() for label in metric.labels} == set(LABELS)
