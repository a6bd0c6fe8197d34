"""Suite `raw`: what the loaded events of a day must hold, generated from the contracts.

The events are JSON. Each field is looked at as a value, null where it is of another type; column
`wrong_types` names those that are, for all fields at once, as a scan of a day for each would take
too long. A field that a contract adds is looked at from then on; nothing here names one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from psycopg import sql

from expectations.suites.rules import (
    Rule,
    Severity,
    Table,
    between,
    is_in,
    is_null,
    matches,
    not_null,
    unique,
)
from features.contract import Contract, Field, FieldType
from features.contracts import CONTRACTS

__all__ = ["raw_tables"]

JSON_TYPES = {
    FieldType.ID: "string",
    FieldType.STRING: "string",
    FieldType.TIME: "string",
    FieldType.DOUBLE: "number",
    FieldType.LONG: "number",
    FieldType.BOOLEAN: "boolean",
    FieldType.RECORDS: "array",
}
NUMBERS = (FieldType.DOUBLE, FieldType.LONG)
# An event may be this late, and a day is loaded when it is over.
DAYS_LATE = 35
DAYS_AFTER = "CAST(event_at AT TIME ZONE 'UTC' AS date) - run_date AS days_after"
WRONG_TYPE = "CASE WHEN jsonb_typeof(event -> {key}) NOT IN ({type}, 'null') THEN {key} END"
WRONG_TYPES = "NULLIF(array_to_string(ARRAY[{}], ','), '') AS wrong_types"
TEXT = "event ->> {key} AS {name}"
# Numeric, as a number of JSON may be larger than any double.
NUMBER = (
    "CASE WHEN jsonb_typeof(event -> {key}) = 'number' "
    "THEN CAST(event ->> {key} AS numeric) END AS {name}"
)
OF_ITEMS = (
    "(SELECT {choose}(CAST(one AS numeric)) FROM jsonb_array_elements_text("
    "jsonb_path_query_array(event, {path})) one) AS {name}"
)


def raw_tables(run_date: date) -> tuple[Table, ...]:
    """One for each topic."""
    return tuple(_table(contract, run_date) for contract in CONTRACTS.values())


def _table(contract: Contract, run_date: date) -> Table:
    fields = [field for field in contract.stored_fields if field.name != "event_type"]
    typed = any(field.name == "event_type" for field in contract.stored_fields)
    columns: list[sql.Composable] = [sql.SQL("event_id, event_at, event_type"), sql.SQL(DAYS_AFTER)]
    columns += [_wrong_types(fields), *(one for field in fields for one in _columns(field))]
    query = sql.SQL("SELECT {} FROM raw.events WHERE run_date = {} AND topic = {}").format(
        sql.SQL(", ").join(columns),
        sql.Literal(run_date),
        sql.Literal(contract.topic),
    )
    rules = (
        unique(["event_id"]),
        not_null("event_id"),
        not_null("event_at"),
        between("days_after", -DAYS_LATE, 0, severity="warn"),
        is_null("wrong_types"),
        *(_value_rules(contract.field("event_type")) if typed else ()),
        *(rule for field in fields for rule in _rules(field)),
    )
    return Table(
        name=contract.topic,
        query=query,
        rules=rules,
        measured=tuple(field.name for field in fields if field.type in NUMBERS),
    )


def _wrong_types(fields: Sequence[Field]) -> sql.Composable:
    each = (
        sql.SQL(WRONG_TYPE).format(key=field.name, type=JSON_TYPES[field.type]) for field in fields
    )
    return sql.SQL(WRONG_TYPES).format(sql.SQL(", ").join(each))


def _columns(field: Field) -> Iterator[sql.Composable]:
    if field.type is FieldType.RECORDS:
        yield from _item_columns(field)
    else:
        value = NUMBER if field.type in NUMBERS else TEXT
        yield sql.SQL(value).format(key=field.name, name=sql.Identifier(field.name))


def _item_columns(field: Field) -> Iterator[sql.Composable]:
    """The least and the largest number of each item's field."""
    for item in _bounded(field):
        path = f'$."{field.name}"[*]."{item.name}" ? (@.type() == "number")'
        for choose in ("min", "max"):
            yield sql.SQL(OF_ITEMS).format(
                choose=sql.SQL(choose),
                path=sql.Literal(path),
                name=sql.Identifier(f"{field.name}_{item.name}_{choose}"),
            )


def _bounded(field: Field) -> list[Field]:
    return [item for item in field.items if (item.minimum, item.maximum) != (None, None)]


def _rules(field: Field) -> Iterator[Rule]:
    if field.type is FieldType.RECORDS:
        yield from _item_rules(field)
    else:
        yield from _value_rules(field)


def _item_rules(field: Field) -> Iterator[Rule]:
    for item in _bounded(field):
        for choose in ("min", "max"):
            yield between(f"{field.name}_{item.name}_{choose}", item.minimum, item.maximum)


def _value_rules(field: Field) -> Iterator[Rule]:
    if field.required:
        yield not_null(field.name)
    if field.required_for:
        # Whether a source was excused from the field cannot be seen in the loaded event.
        severity: Severity = "warn" if field.waived_by else "stop"
        yield not_null(field.name, severity=severity, only=("event_type", field.required_for))
    if field.allowed:
        yield is_in(field.name, field.allowed)
    if field.pattern:
        yield matches(field.name, field.pattern)
    if (field.minimum, field.maximum) != (None, None):
        yield between(field.name, field.minimum, field.maximum)
