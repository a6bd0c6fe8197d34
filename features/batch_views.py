"""Batch views: tables that a step of the day builds as a whole, and readers get as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from features.columns import Column, ColumnType

__all__ = ["AS_OF", "AS_OF_DATE", "BatchView", "Mart"]

AS_OF = "as_of_date"
AS_OF_DATE = Column(AS_OF, ColumnType.DATE, "The last day that is looked at.", nullable=False)
PUBLISHING = (
    Column("updated_at", ColumnType.TIMESTAMP, "When it was published.", nullable=False),
    Column("version", ColumnType.LONG, "Grows with every publication.", nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mart:
    """A table with one row for each `key`: of schema `marts`, or of the lake's `batch/`.

    `day`: the column with the day of a row, where a run replaces one day; without, it replaces the
    whole table. `may_be_empty`: having no row is no sign that something went wrong.
    """

    name: str
    doc: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    owner: str = "recommendations"
    day: str | None = None
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchView:
    """A table of the day as `online.<name>`, and in Redis as one hash `batch:<name>`: id -> JSON.

    Its rows are of one `as_of_date`; those of an earlier one replace none of a later one.
    """

    name: str
    mart: Mart
    made_by: Literal["dbt", "spark"]

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that name an entity."""
        return self.mart.key

    @property
    def columns(self) -> tuple[Column, ...]:
        """Entity, day and features: what a row says, without when it was published."""
        return self.mart.columns

    @property
    def features(self) -> tuple[Column, ...]:
        """One column for each feature."""
        return tuple(one for one in self.columns if one.name not in (*self.key, AS_OF))

    @property
    def online_columns(self) -> tuple[Column, ...]:
        """The columns of `online.<name>`."""
        return (*self.columns, *PUBLISHING)

    @property
    def redis_key(self) -> str:
        """The hash; the parts of a composite id are joined with `|`."""
        return f"batch:{self.name}"

    @property
    def redis_version_key(self) -> str:
        """What the hash is, as JSON: version, as_of_date, updated_at, rows."""
        return f"batch_version:{self.name}"
