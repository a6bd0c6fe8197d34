"""From the report of an epoch to the metrics."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import polars as pl

from features.topics import DEAD_LETTERS
from features.validation import REASON_CODES
from features.views import VIEWS
from streaming.jobs import Job
from streaming.metrics.values import Family, Values
from streaming.ports import Clock, Output
from streaming.report import EpochReport

__all__ = ["STORES", "EpochMetrics"]

SECOND_US = 1_000_000
# The stores that keep every row; topics get messages.
STORES = ("postgres", "redis", "delta")


class EpochMetrics:
    """A listener to the epochs of any number of jobs, and a collector of prometheus-client.

    `versions`: what `userflow_build_info` is labelled with. `now_us` is an argument for tests.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        versions: Iterable[str],
        *,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._now_us = now_us
        self._values = Values()
        # How far each job has read, for whoever wants to know how far it is behind.
        self.clocks: dict[str, Clock] = {}
        self._values.put("userflow_build_info", 1, *versions)
        # By job, the views that time alone changes.
        self._decaying: dict[str, list[str]] = {}
        for job in jobs:
            self._begin(job)

    def __call__(self, report: EpochReport) -> None:
        """Take in an epoch, as a whole."""
        with self._values.together():
            self._count(report)
            self._count_left_out(report)
            self._say(report)
            self._time(report)
        self.clocks = {**self.clocks, report.epoch.job: report.clock}

    def restarted(self, job: str) -> None:
        """A query of this job was begun again."""
        self._values.add("userflow_query_restarts_total", 1, job)

    def collect(self) -> Iterator[Family]:
        """What there is to say now."""
        return self._values.collect()

    def _begin(self, job: Job) -> None:
        """Everything that will be counted is known from the start, as 0."""
        values = self._values
        for name in ("records_in", "duplicates", "epochs", "epoch_repeats", "query_restarts"):
            values.add(f"userflow_{name}_total", 0, job.name)
        for topic in job.topics:
            values.add("userflow_events_accepted_total", 0, topic)
            for reason in REASON_CODES:
                values.add("userflow_rejected_total", 0, topic, reason)
        for view in job.views:
            values.add("userflow_late_total", 0, view)
            values.add("userflow_capped_keys_total", 0, view)
            for store in STORES:
                values.add("userflow_rows_out_total", 0, view, store)
        self._decaying[job.name] = [view for view in job.views if VIEWS[view].windows is not None]
        for view in self._decaying[job.name]:
            values.put("userflow_decay_lag_seconds", 0, view)
        if job.wakers:  # the others have an epoch when an event comes
            values.put("userflow_epoch_committed_timestamp_seconds", 0, job.name)

    def _count(self, report: EpochReport) -> None:
        values, output, job = self._values, report.output, report.epoch.job
        values.add("userflow_epochs_total", 1, job)
        values.add("userflow_epoch_repeats_total", int(report.is_repeat), job)
        values.add("userflow_records_in_total", output.rows_in, job)
        values.add("userflow_duplicates_total", output.duplicates, job)
        for topic, events in output.events.items():
            values.add("userflow_events_accepted_total", events.height, topic)
        for topic, reason, count in output.dead.group_by("topic", "reason_code").len().rows():
            values.add("userflow_rejected_total", count, topic, reason)
        for store in STORES:
            if store in report.stages:
                self._count_rows(output, store)
        for topic, count in _messages(output).items():
            values.add("userflow_messages_out_total", count, topic)

    def _count_left_out(self, report: EpochReport) -> None:
        values = self._values
        for view, late in report.late_for.items():
            values.add("userflow_late_total", late, view)
        for view, keys in report.capped.items():
            values.add("userflow_capped_keys_total", len(keys), view)
        for store, target, count in report.refused.group_by("store", "target").len().rows():
            values.add("userflow_refused_rows_total", count, store, target)

    def _count_rows(self, output: Output, store: str) -> None:
        for frames in (output.rows, output.gone):
            for view, frame in frames.items():
                self._values.add("userflow_rows_out_total", frame.height, view, store)

    def _say(self, report: EpochReport) -> None:
        values, epoch = self._values, report.epoch
        job, committed, watermark = epoch.job, epoch.committed_at_us, report.clock.watermark_us
        values.put("userflow_epoch_number", epoch.number, job)
        name = "userflow_epoch_committed_timestamp_seconds"
        values.put(name, committed / SECOND_US, job)
        if watermark is not None:
            values.put("userflow_watermark_timestamp_seconds", watermark / SECOND_US, job)
            behind = (committed - watermark) / SECOND_US
            values.put("userflow_watermark_lag_seconds", behind, job)
        for view in self._decaying[job]:
            values.put("userflow_decay_lag_seconds", report.decay_lag.get(view, 0), view)
        if report.live_keys is not None:
            values.put("userflow_state_keys", report.live_keys, job)
        if report.state_bytes is not None:
            values.put("userflow_state_bytes", report.state_bytes, job)

    def _time(self, report: EpochReport) -> None:
        values, job, now = self._values, report.epoch.job, self._now_us()
        values.observe("userflow_epoch_duration_seconds", report.seconds, job)
        for stage, seconds in report.stages.items():
            values.observe("userflow_stage_duration_seconds", seconds, job, stage)
        for events in report.output.events.values():
            values.observe_all("userflow_freshness_seconds", _waited(events, now), job)


def _waited(events: pl.DataFrame, now_us: int) -> pl.Series:
    """Seconds since each event came. A sender's clock that is ahead of ours makes that 0."""
    waited = (now_us - events["received_at"].dt.timestamp("us")) / SECOND_US
    # To clip costs more than all the rest, and is hardly ever needed.
    return waited.clip(lower_bound=0) if (waited < 0).any() else waited


def _messages(output: Output) -> Counter[str]:
    """By topic, what was sent: findings, rows of views with messages, dead letters."""
    counts = Counter({topic: found.height for topic, found in output.sent.items()})
    for view, rows in output.rows.items():
        messages = VIEWS[view].messages
        if messages is not None:
            counts[messages.topic] += rows.height
    counts[DEAD_LETTERS] += output.dead.height
    return counts
