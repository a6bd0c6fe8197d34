"""Spark: the stored event as DDL for `StructType.fromDDL`.

Every column stays nullable: to Spark NOT NULL is a promise its optimiser builds on, not a check.
The Delta table (`features.exports.sql`) is where it is checked.
"""

from __future__ import annotations

from features.columns import Column, spark_type, stored_columns
from features.contract import Contract

__all__ = ["spark_comment", "to_spark"]


def to_spark(contract: Contract) -> str:
    """One `name TYPE COMMENT 'doc'` a line, in the stored order."""
    return ",\n".join(spark_column(column) for column in stored_columns(contract))


def spark_column(column: Column) -> str:
    return f"`{column.name}` {spark_type(column)} {spark_comment(column.doc)}"


def spark_comment(doc: str) -> str:
    """Spark escapes in string literals by backslash, unlike standard SQL."""
    escaped = doc.replace("\\", "\\\\").replace("'", "\\'")
    return f"COMMENT '{escaped}'"
