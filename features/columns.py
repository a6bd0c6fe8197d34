"""Columns: how a declared type is stored, in every engine at once.

`stored_columns` is the only list of what the archive of a topic holds; Arrow, Polars, Spark,
PostgreSQL and the exports read it. Rules on values (ranges, enums) stay with the contract.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from enum import Enum

import polars as pl
import pyarrow as pa

from features.contract import Contract, Field, FieldType

__all__ = [
    "Column",
    "ColumnType",
    "arrow_schema",
    "arrow_type",
    "column_of",
    "polars_schema",
    "polars_type",
    "spark_type",
    "sql_type",
    "stored_columns",
]


class ColumnType(Enum):
    """The closed set of types a stored column may have."""

    STRING = "string"
    DOUBLE = "double"
    LONG = "long"
    INT = "int"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"  # microseconds, UTC
    DATE = "date"
    STRING_MAP = "map of strings"
    RECORDS = "list of records"  # described by `Column.items`
    STRING_LIST = "list of strings"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a stored table."""

    name: str
    type: ColumnType
    doc: str
    _: KW_ONLY
    nullable: bool = True
    pii: bool = False
    unit: str | None = None
    items: tuple[Column, ...] = ()


STORED_AS = {
    FieldType.ID: ColumnType.STRING,
    FieldType.STRING: ColumnType.STRING,
    FieldType.DOUBLE: ColumnType.DOUBLE,
    FieldType.LONG: ColumnType.LONG,
    FieldType.BOOLEAN: ColumnType.BOOLEAN,
    FieldType.TIME: ColumnType.TIMESTAMP,
    FieldType.RECORDS: ColumnType.RECORDS,
}

IDENTITY = (
    Column("event_id", ColumnType.STRING, "Unique id of the event.", nullable=False),
    Column("event_at", ColumnType.TIMESTAMP, "Event time.", nullable=False),
    Column("event_date", ColumnType.DATE, "Day of the event time, UTC.", nullable=False),
)

LINEAGE = (
    # Nobody has looked into fields that nobody declared, so they count as personal.
    Column("extra", ColumnType.STRING_MAP, "Fields the contract does not know.", pii=True),
    Column("kafka_partition", ColumnType.INT, "Partition it was read from.", nullable=False),
    Column("kafka_offset", ColumnType.LONG, "Offset it was read from.", nullable=False),
    Column("received_at", ColumnType.TIMESTAMP, "When it reached us.", nullable=False),
    Column("ingested_at", ColumnType.TIMESTAMP, "When its epoch was processed.", nullable=False),
    Column("epoch", ColumnType.LONG, "Epoch that archived it.", nullable=False),
    Column("contract_version", ColumnType.INT, "Contract that accepted it.", nullable=False),
)

SPARK = {
    ColumnType.STRING: "STRING",
    ColumnType.DOUBLE: "DOUBLE",
    ColumnType.LONG: "BIGINT",
    ColumnType.INT: "INT",
    ColumnType.BOOLEAN: "BOOLEAN",
    ColumnType.TIMESTAMP: "TIMESTAMP",
    ColumnType.DATE: "DATE",
    ColumnType.STRING_MAP: "MAP<STRING, STRING>",
    ColumnType.STRING_LIST: "ARRAY<STRING>",
}

SQL = {
    ColumnType.STRING: "text",
    ColumnType.DOUBLE: "double precision",
    ColumnType.LONG: "bigint",
    ColumnType.INT: "integer",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.TIMESTAMP: "timestamptz",
    ColumnType.DATE: "date",
    ColumnType.STRING_MAP: "jsonb",
    ColumnType.RECORDS: "jsonb",
    ColumnType.STRING_LIST: "text[]",
}

POLARS: dict[ColumnType, pl.DataType] = {
    ColumnType.STRING: pl.String(),
    ColumnType.DOUBLE: pl.Float64(),
    ColumnType.LONG: pl.Int64(),
    ColumnType.INT: pl.Int32(),
    ColumnType.BOOLEAN: pl.Boolean(),
    ColumnType.TIMESTAMP: pl.Datetime("us", "UTC"),
    ColumnType.DATE: pl.Date(),
    ColumnType.STRING_MAP: pl.Map(pl.String(), pl.String()),
    ColumnType.STRING_LIST: pl.List(pl.String()),
}

ARROW: dict[ColumnType, pa.DataType] = {
    ColumnType.STRING: pa.string(),
    ColumnType.DOUBLE: pa.float64(),
    ColumnType.LONG: pa.int64(),
    ColumnType.INT: pa.int32(),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    ColumnType.DATE: pa.date32(),
    ColumnType.STRING_MAP: pa.map_(pa.string(), pa.string()),
    ColumnType.STRING_LIST: pa.list_(pa.string()),
}


def stored_columns(contract: Contract) -> tuple[Column, ...]:
    """The archive table of a contract: identity, its own fields, what is left, lineage."""
    return (*IDENTITY, *(column_of(field) for field in contract.stored_fields), *LINEAGE)


def column_of(field: Field) -> Column:
    return Column(
        field.name,
        STORED_AS[field.type],
        field.doc,
        nullable=not field.required,
        pii=field.pii,
        unit=field.unit,
        items=tuple(column_of(item) for item in field.items),
    )


def spark_type(column: Column) -> str:
    """The type as Spark and Delta spell it in DDL."""
    if column.type is not ColumnType.RECORDS:
        return SPARK[column.type]
    items = ", ".join(f"{item.name}: {spark_type(item)}" for item in column.items)
    return f"ARRAY<STRUCT<{items}>>"


def sql_type(column: Column) -> str:
    """The type in PostgreSQL; what is nested becomes jsonb."""
    return SQL[column.type]


def polars_type(column: Column) -> pl.DataType:
    """The type in a Polars frame."""
    if column.type is ColumnType.RECORDS:
        return pl.List(pl.Struct(polars_schema(column.items)))
    return POLARS[column.type]


def arrow_type(column: Column) -> pa.DataType:
    """The type in an Arrow table."""
    if column.type is ColumnType.RECORDS:
        return pa.list_(pa.struct(list(arrow_schema(column.items))))
    return ARROW[column.type]


def polars_schema(columns: Iterable[Column]) -> dict[str, pl.DataType]:
    """Name -> type, as `pl.DataFrame(schema=...)` takes it."""
    return {column.name: polars_type(column) for column in columns}


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """The columns as an Arrow schema; null is left to the table to refuse."""
    return pa.schema([(column.name, arrow_type(column)) for column in columns])
