"""The rebuild: the archive of a job becomes its newest rows and the state of a new checkpoint.

Archived events run through the stages as in a backfill (`streaming.backfill`), up to the watermark
of a clock. At the end each bucket of each stage remembers what it would in a stream that has read
exactly those events and let exactly that time pass. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial, reduce
from itertools import groupby
from operator import itemgetter

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows

from features.dimensions import Dimensions
from streaming.backfill import (
    SLICED,
    Span,
    Step,
    Task,
    as_batch,
    by_kind,
    entity_step,
    event_step,
    in_order,
    last_of,
    replay,
    slicing,
)
from streaming.jobs import Job
from streaming.outcome import FEED, Packed
from streaming.query import Seed
from streaming.state.memory import MemoryState

__all__ = [
    "ENTITIES",
    "EVENTS",
    "STATE",
    "entities_rebuilt",
    "events_rebuilt",
    "read_seed",
    "rebuilding",
    "whole_span",
]

# Where both parts lie, below the checkpoint.
EVENTS, ENTITIES = "seed/events", "seed/entities"
STATE = "state"
SLICE_US = 3600 * 1_000_000
# So many blobs of a view lie side by side; then of each entity only the last row is kept.
MOST_BLOBS = 64
Start = Callable[[int, MemoryState], Step]


def whole_span(watermark_us: int) -> Span:
    """All of time, up to the watermark."""
    return Span(
        first=0, last=watermark_us // SLICE_US, slice_us=SLICE_US, watermark_us=watermark_us
    )


def events_rebuilt(
    archives: Mapping[str, DataFrame],
    job: Job,
    *,
    buckets: int,
    dimensions: Dimensions,
    span: Span,
) -> DataFrame:
    """What the first stage comes to: (bucket, slice, kind, blob).

    `archives`: topic -> its events (`archive_columns`). The kinds are `rows:<view>`, the newest
    rows; `feed:<feed>` by slice, for the second stage; and `state`, with the number of the blob in
    place of the slice. Numbers are drawn: computed twice, the parts would not fit together.
    """
    sliced = [
        events.mapInArrow(slicing(topic, job, buckets, span.slice_us), SLICED)
        for topic, events in archives.items()
    ]
    start = partial(event_step, job, dimensions, buckets)
    return in_order(reduce(DataFrame.union, sliced), buckets).mapInArrow(
        rebuilding(start, span), SLICED
    )


def entities_rebuilt(
    events: DataFrame, job: Job, *, buckets: int, dimensions: Dimensions, span: Span
) -> DataFrame:
    """What the second stage comes to, of what the first fed; as `events_rebuilt`."""
    fed = events.where(F.startswith("kind", F.lit(FEED)))
    start = partial(entity_step, job, dimensions)
    return in_order(fed, buckets).mapInArrow(rebuilding(start, span), SLICED)


def read_seed(spark: SparkSession, job: Job, place: str) -> Seed:
    """The state that a rebuild has left for the first batch of the checkpoint at `place`."""

    def state_of(part: str) -> DataFrame:
        rebuilt = spark.read.schema(SLICED).parquet(f"{place}/{part}").where(F.col("kind") == STATE)
        return rebuilt.select("bucket", F.col("slice").alias("number"), "blob")

    return Seed(state_of(EVENTS), state_of(ENTITIES) if job.feeds else None)


def rebuilding(start: Start, span: Span) -> Task:
    """For `mapInArrow`: packed rows in order of bucket and slice, to what each bucket comes to.

    `start`: the label of a bucket and its state, to its stage.
    """

    def task(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = (row for batch in batches for row in zip(*batch.to_pydict().values(), strict=True))
        for label, of_bucket in groupby(rows, itemgetter(0)):
            slices = ((number, by_kind(of)) for number, of in groupby(of_bucket, itemgetter(1)))
            state, newest = MemoryState(), _Newest()
            for number, (bucket, kind, blob) in replay(start(label, state), slices, span):
                if kind.startswith(FEED):  # for another bucket
                    yield as_batch([(bucket, number, kind, blob)])
                else:
                    newest.put((bucket, kind, blob))
            for _, kind, blob in newest.rows():
                yield as_batch([(label, 0, kind, blob)])
            for (number,), (blob,) in state.states["state"].items():
                yield as_batch([(label, number, STATE, blob)])

    return task


class _Newest:
    """The last that happened to each entity."""

    def __init__(self) -> None:
        self._happened: dict[str, list[Packed]] = {}

    def put(self, row: Packed) -> None:
        view = row[1].partition(":")[2]
        rows = self._happened.setdefault(view, [])
        rows.append(row)
        if len(rows) > MOST_BLOBS:
            self._happened[view] = list(last_of(view, rows))

    def rows(self) -> Iterator[Packed]:
        """The rows of entities that are still there."""
        for view, rows in self._happened.items():
            for row in last_of(view, rows):
                if row[1].startswith("rows:"):
                    yield row
