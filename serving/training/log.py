"""The log of a view's changes in the lake, read as little as possible.

A row has a number, its place in one version of the table: first only what the join needs is read
of all rows, then, of those that were found, the features. So neither the time nor the memory that
a set takes grows with the columns that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from features.columns import polars_type
from features.views import FeatureView
from serving.training.errors import NoLog, first_line

__all__ = ["FeatureLog"]

# A quarter of a gigabyte where the columns are numbers.
VALUES_AT_ONCE = 32_000_000


class FeatureLog:
    """One version of `features/<view>`. Raises `NoLog`."""

    def __init__(
        self, view: FeatureView, lake: str, storage_options: Mapping[str, str] | None = None
    ) -> None:
        self.view = view
        path = f"{lake.rstrip('/')}/features/{view.name}"
        options = dict(storage_options) if storage_options else None
        try:
            self._table = DeltaTable(path, storage_options=options)
        except TableNotFoundError as error:
            raise NoLog(
                f"There is no log of {view.name} in {path}: let `userflow stream` or `userflow "
                "backfill` write it, or say which lake."
            ) from error
        except (DeltaError, OSError) as error:
            raise NoLog(f"The log {path} cannot be read: {first_line(error)}") from error
        self._known = {field.name for field in self._table.schema().fields}

    @cached_property
    def rows(self) -> int:
        """How many rows the log has, those marked as deleted by Delta included."""
        files = pl.DataFrame(self._table.get_add_actions())
        counts = files.get_column("num_records", default=pl.Series([None]))
        if counts.null_count():
            return int(pl.scan_delta(self._table).select(pl.len()).collect().item())
        return int(counts.sum())

    def scan(self, names: Iterable[str]) -> pl.LazyFrame:
        """These columns of all rows, and `row`; what the table does not have yet is null."""
        types = {column.name: polars_type(column) for column in self.view.log_columns}
        columns = [
            (pl.col(name) if name in self._known else pl.lit(None).alias(name)).cast(types[name])
            for name in names
        ]
        return pl.scan_delta(self._table).with_row_index("row").select("row", *columns)

    def take(self, rows: pl.Series, names: Sequence[str]) -> pl.DataFrame:
        """These columns of the rows with these numbers, which are in order and may repeat."""
        parts = list(self._taken(rows, names))
        return pl.concat(parts) if parts else self.scan(names).head(0).drop("row").collect()

    def _taken(self, rows: pl.Series, names: Sequence[str]) -> Iterator[pl.DataFrame]:
        count = max(1, VALUES_AT_ONCE // len(names))
        for begin in range(0, self.rows, count):
            first, last = (rows.search_sorted(at, side="left") for at in (begin, begin + count))
            if first < last:
                part = self.scan(names).slice(begin, count).drop("row").collect()
                yield part[(rows[first:last] - begin).cast(pl.Int64)]
