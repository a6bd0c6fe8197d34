"""SQL: the stored event as a table, in PostgreSQL and in Delta.

The table is named as the topic, without a schema: where it goes is up to who runs it. PostgreSQL
also checks the contract's rules; Delta only null, since it takes CHECK by ALTER TABLE alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from features.columns import Column, spark_type, sql_type, stored_columns
from features.contract import Contract, Field
from features.exports.spark import spark_comment

__all__ = ["Dialect", "table_name", "to_sql"]

Dialect = Literal["postgres", "delta"]


def to_sql(contract: Contract, dialect: Dialect = "postgres") -> str:
    """The statements that create the table of stored events; safe to run again."""
    return to_postgres(contract) if dialect == "postgres" else to_delta(contract)


def table_name(contract: Contract) -> str:
    """`user-events` -> `user_events`."""
    return contract.topic.replace("-", "_")


def to_delta(contract: Contract) -> str:
    columns = ",\n".join(f"  {delta_column(column)}" for column in stored_columns(contract))
    return (
        f"CREATE TABLE IF NOT EXISTS `{table_name(contract)}` (\n{columns}\n)\n"
        f"USING DELTA\nPARTITIONED BY (`event_date`)\n{spark_comment(contract.doc)};\n"
    )


def delta_column(column: Column) -> str:
    null = "" if column.nullable else " NOT NULL"
    return f"`{column.name}` {spark_type(column)}{null} {spark_comment(column.doc)}"


def to_postgres(contract: Contract) -> str:
    columns = [postgres_column(column) for column in stored_columns(contract)]
    # A partitioned table can only be unique by a key that holds the partition column.
    body = ",\n".join(
        f"  {line}"
        for line in (*columns, 'PRIMARY KEY ("event_date", "event_id")', *checks(contract))
    )
    create = (
        f'CREATE TABLE IF NOT EXISTS "{table_name(contract)}" (\n{body}\n)\n'
        'PARTITION BY RANGE ("event_date");\n'
    )
    return create + "\n" + "".join(f"{line}\n" for line in comments(contract))


def postgres_column(column: Column) -> str:
    null = "" if column.nullable else " NOT NULL"
    return f'"{column.name}" {sql_type(column)}{null}'


def checks(contract: Contract) -> Iterator[str]:
    """One CHECK per rule; null passes, as SQL has it."""
    for field in contract.stored_fields:
        for rule in (*value_rules(field), *presence_rules(field)):
            yield f"CHECK ({rule})"


def value_rules(field: Field) -> Iterator[str]:
    if field.allowed:
        yield f'"{field.name}" IN ({literals(field.allowed)})'
    if field.pattern:
        yield f'"{field.name}" ~ {literal(f"^(?:{field.pattern})$")}'
    if field.minimum is not None:
        yield f'"{field.name}" >= {field.minimum}'
    if field.maximum is not None:
        yield f'"{field.name}" <= {field.maximum}'


def presence_rules(field: Field) -> Iterator[str]:
    # Whether a requirement was waived cannot be seen in the stored event.
    if field.required_for and field.waived_by is None:
        kinds = literals(field.required_for)
        yield f'"event_type" NOT IN ({kinds}) OR "{field.name}" IS NOT NULL'


def comments(contract: Contract) -> Iterator[str]:
    table = table_name(contract)
    yield f'COMMENT ON TABLE "{table}" IS {literal(contract.doc)};'
    for column in stored_columns(contract):
        yield f'COMMENT ON COLUMN "{table}"."{column.name}" IS {literal(column.doc)};'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def literals(values: tuple[str, ...]) -> str:
    return ", ".join(literal(value) for value in values)
