"""What an epoch did, once all stores have it: for the log, and for whoever else listens."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import polars as pl
import structlog

from features.timestamps import to_iso
from streaming.ports import Clock, Epoch, Output

__all__ = [
    "EpochReport",
    "Listener",
    "Totals",
    "capped_keys",
    "decay_lag",
    "late_for",
    "log_epoch",
]

# Of the keys that had too much to remember the line of an epoch names so many, by view.
KEYS_NAMED = 5
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """`is_repeat`: PostgreSQL had the epoch already; `output` is what it holds.
    `records`: topic -> how many were read of it, good and bad ones and copies.
    `clock`: as the epoch left it. `seconds` in all, and `stages` by what took them.
    `late_for`: view -> events that came too late for it. `capped`: view -> key -> how often it had
    too much to remember. `decay_lag`: view -> for how many seconds of event time the first of what
    yields to fresh events has been due. `refused`: rows that a store did not take (`REFUSED`).
    `lag`: `topic/partition` -> records that no epoch has read.
    `live_keys` and `state_bytes`: the size of the keyed state; None where it is not known.
    """

    epoch: Epoch
    output: Output
    clock: Clock
    is_repeat: bool
    seconds: float
    stages: Mapping[str, float]
    late_for: Mapping[str, int]
    capped: Mapping[str, Mapping[str, int]]
    decay_lag: Mapping[str, float]
    refused: pl.DataFrame
    lag: Mapping[str, int]
    live_keys: int | None
    state_bytes: int | None
    records: Mapping[str, int] = field(default_factory=dict)


Listener = Callable[[EpochReport], None]


@dataclass(slots=True)
class Totals:
    """What a run has done so far; listens."""

    epochs: int = 0
    events: int = 0
    rows: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    # (end of the epoch on a steady clock in seconds, events it read)
    timeline: list[tuple[float, int]] = field(default_factory=list)
    # seconds, by what they were spent on
    stages: Counter[str] = field(default_factory=Counter)

    def __call__(self, report: EpochReport) -> None:
        """Add an epoch."""
        output = report.output
        self.epochs += 1
        self.timeline.append((time.perf_counter(), output.rows_in))
        self.events += output.rows_in
        self.rows += _height(output.rows)
        self.accepted += _height(output.events)
        self.duplicates += output.duplicates
        self.rejected += output.dead.height
        self.stages.update(report.stages)


def log_epoch(report: EpochReport) -> None:
    """One line for each epoch."""
    epoch, output, watermark = report.epoch, report.output, report.clock.watermark_us
    log.info(
        "epoch",
        job=epoch.job,
        epoch=epoch.number,
        rows_in=output.rows_in,
        accepted=_height(output.events),
        duplicates=output.duplicates,
        rejected=dict(output.dead["reason_code"].value_counts().rows()),
        late_for=report.late_for,
        capped={
            view: dict(Counter(keys).most_common(KEYS_NAMED))
            for view, keys in report.capped.items()
        },
        decay_lag={view: round(seconds, 1) for view, seconds in report.decay_lag.items()},
        sent={topic: frame.height for topic, frame in output.sent.items()},
        rows_out=_height(output.rows) + _height(output.gone),
        seconds=round(report.seconds, 3),
        stages={name: round(seconds, 3) for name, seconds in report.stages.items()},
        watermark=None if watermark is None else to_iso(watermark),
        refused=dict(report.refused["store"].value_counts().rows()),
        lag=sum(report.lag.values()),
        state={"keys": report.live_keys, "bytes": report.state_bytes},
    )


def late_for(limits: pl.DataFrame | None) -> dict[str, int]:
    """By view, how many events came too late for it (`streaming.outcome.LIMITS`)."""
    if limits is None:
        return {}
    sums = limits.group_by("view").agg(pl.col("late").sum()).filter(pl.col("late") > 0)
    return dict(sums.sort("view").rows())


def capped_keys(limits: pl.DataFrame | None) -> dict[str, dict[str, int]]:
    """By view, how often it had too much to remember of a key; those with most first."""
    if limits is None:
        return {}
    keys = limits.select("view", key="capped").explode("key").drop_nulls()
    counts = keys.group_by("view", "key").len()
    found: dict[str, dict[str, int]] = {}
    for view, key, count in counts.sort(
        "view", "len", "key", descending=[False, True, False]
    ).rows():
        found.setdefault(view, {})[key] = count
    return found


def decay_lag(limits: pl.DataFrame | None) -> dict[str, float]:
    """By view, for how many seconds the first of what yields to fresh events has been due."""
    if limits is None:
        return {}
    most = limits.group_by("view").agg(pl.col("behind_us").max() / 1e6)
    return dict(most.filter(pl.col("behind_us") > 0).sort("view").rows())


def _height(frames: Mapping[str, pl.DataFrame]) -> int:
    return sum(frame.height for frame in frames.values())
