"""The Delta tables that the streams append to, derived from the declarations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from features.columns import Column, arrow_type, stored_columns
from features.contract import Contract
from features.views import FeatureView

__all__ = ["LakeTable", "archive_of", "log_of", "nullable_schema"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeTable:
    """`path` is relative to the lake."""

    path: str
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = ()
    doc: str = ""


def archive_of(contract: Contract) -> LakeTable:
    """`events/<topic>`: every accepted event once."""
    return LakeTable(
        path=f"events/{contract.topic.replace('-', '_')}",
        columns=stored_columns(contract),
        partition_by=("event_date",),
        doc=f"Accepted events of {contract.topic}.",
    )


def log_of(view: FeatureView) -> LakeTable:
    """`features/<view>`: every change of a row, and when it could be read."""
    return LakeTable(path=f"features/{view.name}", columns=view.log_columns, doc=view.doc)


def nullable_schema(columns: Iterable[Column]) -> pa.Schema:
    """The columns as an Arrow schema that says which may be null."""
    return pa.schema(
        pa.field(column.name, arrow_type(column), nullable=column.nullable) for column in columns
    )
