"""What an epoch hands to the stores, and what a store must promise.

One micro-batch is one epoch. PostgreSQL commits it first, in one transaction with the epoch's own
row; the other stores follow and must take a repeated epoch without changing anything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

__all__ = [
    "DEAD",
    "REFUSED",
    "Clock",
    "Epoch",
    "EpochStore",
    "Output",
    "Sink",
    "Write",
    "no_refusals",
    "refusals",
]

# `received_at_us`: when the record reached us. A number, since what a header says may lie before
# year 1.
DEAD = {
    "topic": pl.String,
    "partition": pl.Int32,
    "offset": pl.Int64,
    "key": pl.Binary,
    "payload": pl.Binary,
    "received_at_us": pl.Int64,
    "reason_code": pl.String,
    "reason": pl.String,
    "contract_version": pl.Int32,
}


# Rows that a store, or the stage that makes them, does not take, though it takes all others.
REFUSED = {"store": pl.String, "target": pl.String, "key": pl.String, "reason": pl.String}


def refusals(store: str, target: str, keys: pl.Series, reason: str) -> pl.DataFrame:
    """Rows of `REFUSED`: one for each key of a view, feed or topic."""
    return pl.select(
        store=pl.lit(store), target=pl.lit(target), key=keys.cast(pl.String), reason=pl.lit(reason)
    )


def no_refusals() -> pl.DataFrame:
    """All were taken."""
    return pl.DataFrame(schema=REFUSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """How far a job has read: by `topic/partition`, the largest event time (microseconds) and the
    next offset; and the watermark that follows from them, which holds for the next epoch.
    """

    watermark_us: int | None = None
    event_times: Mapping[str, int] = field(default_factory=dict)
    offsets: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """Identity of a micro-batch. `committed_at_us` is fixed by the first commit: a retry of the
    epoch finds it in PostgreSQL and uses it everywhere.
    """

    job: str
    checkpoint_id: str
    number: int
    generation: int
    committed_at_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What an epoch changes.

    `rows`: view name -> changed rows (the view's columns, `event_at`, and `by_event`: whether an
    event, and not only the passing of time, changed the row), one for each entity.
    `gone`: view name -> the entities whose row is no more, with the `event_at` that it had.
    `sent`: topic -> messages of the rules over events (`features.watching`), each once.
    `events`: topic -> newly accepted events (`features.decoding.event_schema`, lineage).
    `dead`: rejected events, schema `DEAD`.
    `refused`: rows that were set aside, schema `REFUSED`.
    """

    rows: Mapping[str, pl.DataFrame]
    events: Mapping[str, pl.DataFrame]
    dead: pl.DataFrame
    rows_in: int
    duplicates: int
    gone: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    sent: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    refused: pl.DataFrame = field(default_factory=no_refusals)


class EpochStore(Protocol):
    """The store that decides whether an epoch has happened: PostgreSQL."""

    name: str

    def hold(self, job: str) -> None:
        """Be the only one to write this job until `close`; raises where another is."""

    def clock_after(self, job: str, checkpoint_id: str, number: int) -> Clock | None:
        """The clock that the committed epoch `number` left; None before the first."""

    def pin_watermark(self, job: str, checkpoint_id: str, number: int, watermark_us: int) -> int:
        """Fix the watermark of an epoch that is about to run; a retry gets the first one back."""

    def newest(self, view: str) -> pl.DataFrame:
        """The row of every entity: the view's columns and `event_at`."""

    def commit(self, epoch: Epoch, output: Output, clock: Clock) -> tuple[Epoch, Output, Clock]:
        """Write rows, dead letters and the epoch's row in one transaction.

        Where the epoch is there already nothing is written, and what *it* wrote is returned, so
        that the other sinks repeat exactly that. A row that cannot be stored is left out and
        `refused`.
        """

    def set_aside(self, epoch: Epoch, refused: pl.DataFrame) -> None:
        """Keep what the sinks refused (`REFUSED`), once."""


# Returns the rows that the store will never take (`REFUSED`); raises what may pass.
Write = Callable[[], pl.DataFrame]


class Sink(ABC):
    """A store that follows; to write the same epoch twice has the effect of once."""

    name: str

    @abstractmethod
    def prepared(self, epoch: Epoch, output: Output) -> Write:
        """Everything that nobody can see is done; what is returned does the rest."""

    def write(self, epoch: Epoch, output: Output) -> pl.DataFrame:
        """Write an epoch that PostgreSQL has."""
        return self.prepared(epoch, output)()

    @abstractmethod
    def close(self) -> None:
        """Let go of what is open."""


Sinks = Sequence[Sink]
