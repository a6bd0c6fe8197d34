"""dbt: where the models read from, and a contract's events as typed columns.

The files are committed, since dbt reads files; a test makes them again and compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from features.contract import Contract, Field, FieldType
from features.exports.sql import table_name

__all__ = ["to_dbt_files", "to_dbt_sources", "to_dbt_staging", "to_dbt_staging_docs"]

RAW_EVENTS = {
    "run_date": "The day that was loaded; an event's own day may be another one.",
    "topic": "The topic, which names the contract.",
    "event_id": "Unique in a topic and run date.",
    "event_type": "What happened.",
    "user_id": "Who did it; null = anonymous.",
    "session_id": "The visit.",
    "event_at": "Event time.",
    "event": "The canonical event: the fields of its contract, defaults filled in.",
    "run_id": "The gate run that let the event pass.",
    "loaded_at": "When it was loaded.",
}
EPISODES = {
    "episode_id": "The episode.",
    "title": "Its title.",
    "genre": "Its genre.",
    "tags": "Its tags.",
    "avg_rating": "Mean rating by readers.",
    "published_at": "When it was published.",
}
PRODUCTS = {
    "product_id": "The product.",
    "name": "Its name.",
    "category": "Its category.",
    "brand": "Its brand.",
    "price": "Its list price.",
}
SOURCES = {
    "raw": {"events": ("Accepted events of all topics, partitioned by run date.", RAW_EVENTS)},
    "dim": {
        "episodes": ("What is known of episodes.", EPISODES),
        "products": ("What is known of products.", PRODUCTS),
    },
}
# Columns of raw.events, which need no look into the event.
COLUMNS = ("event_id", "event_type", "user_id", "session_id")
# Money and ratios are read as they were written; a double would round them before they are added.
TYPES = {
    FieldType.ID: "text",
    FieldType.STRING: "text",
    FieldType.DOUBLE: "numeric",
    FieldType.LONG: "bigint",
    FieldType.BOOLEAN: "boolean",
    FieldType.TIME: "timestamptz",
}
MARK = "Generated from the contract by `python -m infra.dbt_files`; do not edit."


def to_dbt_files(contracts: Iterable[Contract]) -> dict[str, str]:
    """Every generated file by its name in `models/staging`."""
    files = {"_sources.yml": to_dbt_sources()}
    for contract in contracts:
        files[f"{_model(contract)}.sql"] = to_dbt_staging(contract)
        files[f"{_model(contract)}.yml"] = to_dbt_staging_docs(contract)
    return files


def to_dbt_sources() -> str:
    """The sources of all models."""
    lines = [f"# {MARK}", "sources:"]
    for schema, tables in SOURCES.items():
        lines += [f"  - name: {schema}", f"    schema: {schema}", "    tables:"]
        for table, (doc, columns) in tables.items():
            lines += [f"      - name: {table}", f"        description: {json.dumps(doc)}"]
            lines += ["        columns:", *_columns(columns, "          ")]
    return "\n".join(lines) + "\n"


def to_dbt_staging(contract: Contract) -> str:
    """The model that reads the events of a contract: one row for each event of a day."""
    columns = [
        *COLUMNS,
        "event_at",
        "event_date",
        *(f"{_value(field)} as {field.name}" for field in _fields(contract)),
    ]
    listed = ",\n".join(f"    {column}" for column in columns)
    return f"""{{#- {MARK} -#}}
with events as (
    select *, {{{{ event_day('event_at') }}}} as event_date
    from {{{{ source('raw', 'events') }}}}
    where topic = '{contract.topic}' and {{{{ is_built(event_day('event_at')) }}}}
)

select
{listed}
from events
where {{{{ is_first_load() }}}}
"""  # noqa: S608 - made of a contract alone, where no database is known


def to_dbt_staging_docs(contract: Contract) -> str:
    """What that model holds."""
    docs = {
        **{name: RAW_EVENTS[name] for name in (*COLUMNS, "event_at")},
        "event_date": "The event's day, UTC.",
        **{field.name: field.doc for field in _fields(contract)},
    }
    doc = f"{contract.doc} Grain: (event_date, event_id). Personal data is left out but the user."
    head = f"""# {MARK}
models:
  - name: {_model(contract)}
    description: {json.dumps(doc)}
    columns:
"""
    return head + "\n".join(_columns(docs, "      ")) + "\n"


def _model(contract: Contract) -> str:
    return f"stg_{table_name(contract)}"


def _fields(contract: Contract) -> list[Field]:
    return [f for f in contract.stored_fields if f.name not in COLUMNS and not f.pii]


def _value(field: Field) -> str:
    if field.type is FieldType.RECORDS:
        return f"nullif(event -> '{field.name}', 'null')"
    text = f"event ->> '{field.name}'"
    return text if TYPES[field.type] == "text" else f"({text})::{TYPES[field.type]}"


def _columns(docs: Mapping[str, str], indent: str) -> Iterator[str]:
    for name, doc in docs.items():
        yield f"{indent}- name: {name}"
        yield f"{indent}  description: {json.dumps(doc)}"
