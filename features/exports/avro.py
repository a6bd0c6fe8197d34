"""Avro: the stored event as a record, for readers outside of Spark.

A closed set of values stays a string: a new value is a compatible change of a contract, but an
Avro enum makes every reader with the older schema fail at the first new symbol.
"""

from __future__ import annotations

import re
from typing import Any

from features.columns import Column, ColumnType, stored_columns
from features.contract import Contract

__all__ = ["to_avro"]

Schema = dict[str, Any]

NAMESPACE = "userflow.events"

TYPES: dict[ColumnType, Any] = {
    ColumnType.STRING: "string",
    ColumnType.DOUBLE: "double",
    ColumnType.LONG: "long",
    ColumnType.INT: "int",
    ColumnType.BOOLEAN: "boolean",
    ColumnType.TIMESTAMP: {"type": "long", "logicalType": "timestamp-micros"},
    ColumnType.DATE: {"type": "int", "logicalType": "date"},
    ColumnType.STRING_MAP: {"type": "map", "values": "string"},
    ColumnType.STRING_LIST: {"type": "array", "items": "string"},
}


def to_avro(contract: Contract) -> Schema:
    """The record schema of one stored event."""
    name = pascal_case(contract.topic)
    allowed = {field.name: field.allowed for field in contract.fields}
    return {
        "type": "record",
        "name": name,
        "namespace": NAMESPACE,
        "doc": contract.doc,
        "fields": [
            avro_field(column, name, allowed.get(column.name, ()))
            for column in stored_columns(contract)
        ],
    }


def avro_field(column: Column, owner: str, allowed: tuple[str, ...] = ()) -> Schema:
    doc = f"{column.doc} One of: {', '.join(allowed)}." if allowed else column.doc
    own = avro_type(column, owner)
    if not column.nullable:
        return {"name": column.name, "type": own, "doc": doc}
    return {"name": column.name, "type": ["null", own], "default": None, "doc": doc}


def avro_type(column: Column, owner: str) -> Any:
    if column.type is not ColumnType.RECORDS:
        return TYPES[column.type]
    name = owner + pascal_case(column.name)
    fields = [avro_field(item, name) for item in column.items]
    return {"type": "array", "items": {"type": "record", "name": name, "fields": fields}}


def pascal_case(name: str) -> str:
    """`user-events` -> `UserEvents`: Avro names know no hyphen."""
    return "".join(part.capitalize() for part in re.split(r"[^A-Za-z0-9]+", name))
