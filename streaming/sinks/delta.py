"""The lake: accepted events and the log of feature changes, appended with delta-rs.

Every append carries the application's id and the epoch's number in its commit, so a table knows
which epochs it holds and a repeated one is skipped. An empty frame makes no commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import polars as pl
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, Transaction, write_deltalake

from features.columns import polars_schema, polars_type
from features.contract import Contract
from features.contracts import CONTRACTS
from features.views import VIEWS, FeatureView
from streaming.ports import Epoch, Output, Sink, Write, no_refusals
from streaming.sinks.lake_tables import LakeTable, archive_of, log_of, nullable_schema

__all__ = ["DeltaSink"]

UTC = pl.Datetime("us", "UTC")
# Most of an append is done without Python's lock.
APPENDS_AT_ONCE = 2
# A stream commits every second, and each commit looks at all files of the log. delta-rs writes a
# checkpoint at versions 19, 39 and so on, and then deletes what is older than that and than ten
# minutes: longer than one commit takes, which needs the log since it has begun.
CONFIGURATION = {
    "delta.checkpointInterval": "20",
    "delta.logRetentionDuration": "interval 10 minutes",
}


class DeltaSink(Sink):
    """`lake` is a folder or a URI.

    The application's id is the checkpoint's: a new checkpoint counts its epochs from 0 again, and
    under the old id they would all be skipped.
    """

    name = "delta"

    def __init__(
        self,
        lake: str,
        *,
        storage_options: Mapping[str, str] | None = None,
        views: Mapping[str, FeatureView] = VIEWS,
        contracts: Mapping[str, Contract] = CONTRACTS,
    ) -> None:
        self._lake = lake.rstrip("/")
        self._storage_options = dict(storage_options) if storage_options else None
        self._archives = {topic: archive_of(contract) for topic, contract in contracts.items()}
        self._logs = {name: log_of(view) for name, view in views.items()}
        self._versions = {name: view.version for name, view in views.items()}
        self._open: dict[str, DeltaTable] = {}

    def ensure(self, *, topics: Iterable[str] = (), views: Iterable[str] = ()) -> None:
        """Create the tables that are missing, so that readers find them before the first row."""
        for table in [*(self._archives[t] for t in topics), *(self._logs[v] for v in views)]:
            self._table(table)

    def prepared(self, epoch: Epoch, output: Output) -> Write:
        """Append the epoch to every table that does not hold it yet."""
        frames = [
            (self._archives[topic], _archived(epoch, events))
            for topic, events in output.events.items()
        ]
        frames += [
            (self._logs[view], self._changes(view, epoch, output))
            for view in self._logs.keys() & {*output.rows, *output.gone}
        ]
        tables = [(table, _as_arrow(table, rows)) for table, rows in frames if rows.height]

        def write() -> pl.DataFrame:
            # Whoever fails, a repeated epoch must not meet an append that is still under way.
            with ThreadPoolExecutor(APPENDS_AT_ONCE) as pool:
                done = [pool.submit(self._append, table, epoch, rows) for table, rows in tables]
            for append in done:
                append.result()
            self._open_anew(epoch.number)
            return no_refusals()

        return write

    def replace(self, view: str, epochs: Iterable[tuple[Epoch, Output]], where: str) -> int:
        """Put what `epochs` change of a view into its log in place of the rows `where` selects.

        One commit, in which epochs are written as they come. What others append meanwhile stays;
        where it is selected too, `deltalake.exceptions.CommitFailedError` is raised. Returns how
        many rows were put.
        """
        table = self._logs[view]
        put = 0

        def batches() -> Iterator[pa.RecordBatch]:
            nonlocal put
            for epoch, output in epochs:
                rows = _as_arrow(table, self._changes(view, epoch, output))
                put += rows.num_rows
                yield from rows.to_batches()

        reader = pa.RecordBatchReader.from_batches(nullable_schema(table.columns), batches())
        write_deltalake(self._table(table), reader, mode="overwrite", predicate=where)
        return put

    def close(self) -> None:
        """Forget the tables; nothing is open between two calls."""
        self._open.clear()

    def _changes(self, view: str, epoch: Epoch, output: Output) -> pl.DataFrame:
        """What the epoch changes of a view, as its log has it."""
        rows = _changes(self._logs[view], output, view)
        return _logged(epoch, self._versions[view], rows)

    def _append(self, table: LakeTable, epoch: Epoch, rows: pa.Table) -> None:
        delta = self._table(table)
        if _newest(delta, epoch.checkpoint_id) >= epoch.number:
            return
        mark = Transaction(epoch.checkpoint_id, epoch.number)
        write_deltalake(
            delta,
            rows,
            mode="append",
            commit_properties=CommitProperties(app_transactions=[mark]),
        )

    def _open_anew(self, turn: int) -> None:
        """One of the tables, each in its turn: every commit makes an open one slower, as what it
        knows lies in one piece more. After a thousand an append would take ten times as long.
        """
        if self._open:
            path = list(self._open)[turn % len(self._open)]
            self._open[path] = DeltaTable(
                f"{self._lake}/{path}", storage_options=self._storage_options
            )

    def _table(self, table: LakeTable) -> DeltaTable:
        """The newest state of the table: another process may have compacted it."""
        if table.path not in self._open:
            self._open[table.path] = self._create(table)
        delta = self._open[table.path]
        delta.update_incremental()
        return delta

    def _create(self, table: LakeTable) -> DeltaTable:
        """Create the table, or set and add what has been declared since it was created."""
        schema = Schema.from_arrow(nullable_schema(table.columns))
        delta = DeltaTable.create(
            f"{self._lake}/{table.path}",
            schema=schema,
            mode="ignore",
            partition_by=list(table.partition_by),
            description=table.doc,
            configuration=dict(CONFIGURATION),
            storage_options=self._storage_options,
        )
        if CONFIGURATION.items() - delta.metadata().configuration.items():
            delta.alter.set_table_properties(dict(CONFIGURATION))
        known = {field.name for field in delta.schema().fields}
        if new := [field for field in schema.fields if field.name not in known]:
            delta.alter.add_columns(new)
        return delta


def _newest(delta: DeltaTable, app_id: str) -> int:
    version = delta.transaction_version(app_id)
    return -1 if version is None else version


def _archived(epoch: Epoch, events: pl.DataFrame) -> pl.DataFrame:
    """Events with what only the epoch knows; the clock is its commit, the same in every retry."""
    return events.with_columns(
        event_date=pl.col("event_at").dt.date(),
        ingested_at=pl.lit(epoch.committed_at_us).cast(UTC),
        epoch=pl.lit(epoch.number),
    )


def _changes(log: LakeTable, output: Output, view: str) -> pl.DataFrame:
    """The rows that changed and those that are no more: of these only the entity is said."""
    nothing = pl.DataFrame(schema=polars_schema(log.columns))
    rows, gone = output.rows.get(view, nothing), output.gone.get(view, nothing)
    return pl.concat(
        [
            nothing.clear(),
            rows.with_columns(is_deleted=pl.lit(value=False)),
            gone.with_columns(is_deleted=pl.lit(value=True)),
        ],
        how="diagonal",
    )


def _logged(epoch: Epoch, version: int, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(
        available_at=pl.lit(epoch.committed_at_us).cast(UTC),
        feature_version=pl.lit(version),
        batch_id=pl.lit(epoch.number),
        generation=pl.lit(epoch.generation),
    )


def _as_arrow(table: LakeTable, rows: pl.DataFrame) -> pa.Table:
    """Exactly the table's columns, in its types: polars alone would write large strings."""
    typed = rows.select(pl.col(column.name).cast(polars_type(column)) for column in table.columns)
    exported = typed.to_arrow(compat_level=pl.CompatLevel.oldest())
    return exported.cast(nullable_schema(table.columns))
