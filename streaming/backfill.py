"""The backfill: archived events through the same stages as the stream's, slice by slice.

Archived events are sorted into the stream's buckets and into slices of event time. Each bucket is
then one run of an `EventStage` in memory: the events of a slice go in while the watermark stands at
its beginning, then the watermark passes to its end. What it feeds is sorted into the buckets of the
entities, under the number of its slice, and runs through an `EntityStage` in the same way. So
nothing is ever late, time passes evenly, and a view's log has, for each slice, the rows that
changed in it, as of its end.

What a row shows depends on what came before, without a limit (`recent_product_ids` has no window),
so a replay begins with the first event that is archived. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from operator import itemgetter

import polars as pl
import pyarrow as pa
from pyspark.sql import DataFrame

from features.columns import stored_columns
from features.contracts import CONTRACTS
from features.dimensions import Dimensions
from features.views import VIEWS
from streaming.decode_stage import events_in_buckets
from streaming.entity_stage import EntityStage
from streaming.event_stage import PLACE, EventStage
from streaming.jobs import Job
from streaming.outcome import FEED, Outcome, Packed
from streaming.packing import bucket_labels, from_blob, to_blob
from streaming.state.memory import MemoryState

__all__ = [
    "SLICED",
    "Blobs",
    "Span",
    "Step",
    "Task",
    "archive_columns",
    "as_batch",
    "by_kind",
    "changed_rows",
    "entity_step",
    "event_step",
    "in_order",
    "last_of",
    "replay",
    "slicing",
]

SLICED = "bucket int, slice long, kind string, blob binary"
SCHEMA = pa.schema(
    [("bucket", pa.int32()), ("slice", pa.int64()), ("kind", pa.string()), ("blob", pa.binary())]
)
# What may happen to an entity.
CHANGES = ("rows", "gone")
Blobs = dict[str, list[bytes]]
# A stage with its state: blobs by kind and the watermark, to what they change.
Step = Callable[[Blobs, int | None], Outcome]
Task = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which slices are wanted, by number: slice `n` begins at `n * slice_us` (microseconds).

    `watermark_us` is where time ends: not even the last slice lets more of it pass.
    """

    first: int
    last: int
    slice_us: int
    watermark_us: int

    def watermark_at(self, number: int) -> int:
        """The watermark at the beginning of a slice."""
        return min(number * self.slice_us, self.watermark_us)


def archive_columns(topic: str) -> list[str]:
    """What a replay needs of an archive: the event, and where it lay."""
    stored = [column.name for column in stored_columns(CONTRACTS[topic])]
    return [*stored[: stored.index("extra")], *PLACE]


def changed_rows(
    archives: Mapping[str, DataFrame],
    job: Job,
    *,
    buckets: int,
    dimensions: Dimensions,
    span: Span,
) -> DataFrame:
    """What changed in the job's views in the span: (bucket, slice, kind, blob).

    `archives`: topic -> its events (`archive_columns`) up to the end of the span. Each bucket is
    one task. The kinds are `rows:<view>` and `gone:<view>`, as `streaming.epochs` takes them; in a
    slice an entity stands in one of the two, once. Of a view with a board come earlier slices too.
    """
    sliced = [
        events.mapInArrow(slicing(topic, job, buckets, span.slice_us), SLICED)
        for topic, events in archives.items()
    ]
    of_events = _replaying(lambda label: event_step(job, dimensions, buckets, label), span)
    changed = in_order(reduce(DataFrame.union, sliced), buckets).mapInArrow(of_events, SLICED)
    if not job.feeds:
        return changed
    of_entities = _replaying(lambda label: entity_step(job, dimensions, label), span)
    return in_order(changed, buckets).mapInArrow(of_entities, SLICED)


def event_step(
    job: Job, dimensions: Dimensions, buckets: int, label: int, state: MemoryState | None = None
) -> Step:
    """The first stage of a bucket, which knows nothing yet; it takes the events by topic."""
    stage = EventStage(job, dimensions, buckets)
    stage.init(state or MemoryState())  # type: ignore[arg-type]

    def step(blobs: Blobs, watermark: int | None) -> Outcome:
        outcome = Outcome(label)
        stage.take(blobs, outcome, watermark=watermark)
        return outcome

    return step


def entity_step(
    job: Job, dimensions: Dimensions, label: int, state: MemoryState | None = None
) -> Step:
    """The second stage of a bucket: it takes feeds and passes on what is not for it."""
    stage = EntityStage(job, dimensions)
    stage.init(state or MemoryState())  # type: ignore[arg-type]

    def step(blobs: Blobs, watermark: int | None) -> Outcome:
        outcome = Outcome(label)
        fed = {}
        for kind, parts in blobs.items():
            if kind.startswith(FEED):
                fed[kind.removeprefix(FEED)] = parts
            else:
                outcome.rows += [(label, kind, blob) for blob in parts]
        # Nobody waits: time passes to the microsecond.
        stage.take(fed, outcome, watermark=watermark, is_exact=True)
        return outcome

    return step


def replay(
    step: Step, slices: Iterable[tuple[int, Blobs]], span: Span
) -> Iterator[tuple[int, Packed]]:
    """One bucket: what each slice feeds, and what changed in those of the span.

    `slices`: the number of each slice in which something comes and its blobs by kind, in order.
    """
    run = _Run(step, span)
    following = span.last + 1  # nothing can happen before the first event
    for number, blobs in slices:
        for quiet in range(following, number):
            yield from run.end(quiet, [])
        yield from run.end(number, run.step(blobs, span.watermark_at(number)))
        following = number + 1
    for quiet in range(following, span.last + 1):
        yield from run.end(quiet, [])


class _Run:
    """A stage on its way through time."""

    def __init__(self, step: Step, span: Span) -> None:
        self._step = step
        self._span = span
        # The largest watermark at which nothing changes by itself.
        self._next_due: int | None = None

    def step(self, blobs: Blobs, watermark: int) -> list[Packed]:
        outcome = self._step(blobs, watermark)
        self._next_due = outcome.next_due
        return outcome.rows

    def end(self, number: int, packed: list[Packed]) -> Iterator[tuple[int, Packed]]:
        """Let time pass to the end of a slice; `packed` is what came of its beginning."""
        watermark = self._span.watermark_at(number + 1)
        if self._next_due is not None and self._next_due < watermark:
            packed = packed + self.step({}, watermark)
        for row in packed:
            if row[1].startswith(FEED):
                yield number, row
        for row in _newest(packed):
            # A board has to know the rows from before.
            if number >= self._span.first or VIEWS[row[1].partition(":")[2]].board:
                yield number, row


def _newest(packed: Iterable[Packed]) -> Iterator[Packed]:
    """The last that happened to each entity: what was before it was readable at no time."""
    happened: dict[str, list[Packed]] = {}
    for row in packed:
        what, _, view = row[1].partition(":")
        if what in CHANGES:
            happened.setdefault(view, []).append(row)
    for view, rows in happened.items():
        if len(rows) == 1:  # a stage names an entity once
            yield rows[0]
        else:
            yield from last_of(view, rows)


def last_of(view: str, rows: Sequence[Packed]) -> Iterator[Packed]:
    """The last that happened to each entity of a view."""
    frames = [from_blob(blob).with_columns(kind=pl.lit(kind)) for _, kind, blob in rows]
    label, _, _ = rows[0]
    last = pl.concat(frames, how="diagonal").unique(VIEWS[view].key, keep="last")
    for (kind,), part in last.partition_by("kind", as_dict=True, include_key=False).items():
        yield label, str(kind), to_blob(part)


def in_order(sliced: DataFrame, buckets: int) -> DataFrame:
    """Each bucket in one task, slice by slice."""
    return sliced.repartition(buckets, "bucket").sortWithinPartitions("bucket", "slice")


def slicing(topic: str, job: Job, buckets: int, slice_us: int) -> Task:
    """For `mapInArrow`: archived events to packed rows."""

    def task(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        labels = bucket_labels(buckets)
        for batch in batches:
            events = pl.DataFrame(batch).with_columns(pl.col("event_at").dt.timestamp("us"))
            numbered = events.with_columns(slice=pl.col("event_at") // slice_us)
            parts = numbered.partition_by("slice", as_dict=True, include_key=False)
            rows = [
                (labels[bucket], number, topic, blob)
                for (number,), part in parts.items()
                for bucket, blob in events_in_buckets(part, job.key_of[topic], buckets)
            ]
            yield as_batch(rows)

    return task


def _replaying(start: Callable[[int], Step], span: Span) -> Task:
    """For `mapInArrow`: packed rows in order of bucket and slice through a stage for each bucket.

    `start`: the label of a bucket, to its stage.
    """

    def task(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = (row for batch in batches for row in zip(*batch.to_pydict().values(), strict=True))
        for label, of_bucket in groupby(rows, itemgetter(0)):
            slices = ((number, by_kind(of)) for number, of in groupby(of_bucket, itemgetter(1)))
            for number, (bucket, kind, blob) in replay(start(label), slices, span):
                yield as_batch([(bucket, number, kind, blob)])

    return task


def by_kind(rows: Iterable[tuple[int, int, str, bytes]]) -> Blobs:
    """The blobs of a bucket's slice."""
    blobs: Blobs = {}
    for _, _, kind, blob in rows:
        blobs.setdefault(kind, []).append(blob)
    return blobs


def as_batch(rows: Iterable[tuple[object, ...]]) -> pa.RecordBatch:
    """Rows of `SLICED`."""
    columns = [*zip(*rows, strict=True)] or [()] * len(SCHEMA)
    return pa.RecordBatch.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)],
        schema=SCHEMA,
    )
