"""The statements of the PostgreSQL store, composed from the declarations, and the text it copies.

A view's rows travel as CSV, where PostgreSQL tells an empty string (`""`) from null (nothing).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl
from psycopg import sql

from features.columns import Column, ColumnType, sql_type
from features.views import FeatureView

__all__ = [
    "CLAIM_EPOCH",
    "CLOCK_AFTER",
    "FIND_EPOCH",
    "FORGET_EPOCHS",
    "FORGET_WATERMARKS",
    "NEWEST_EPOCH",
    "PINNED_WATERMARK",
    "PIN_WATERMARK",
    "PUT_ALERT",
    "PUT_DEAD_LETTER",
    "PUT_REFUSED",
    "copy_out",
    "copy_rows",
    "create_incoming",
    "csv_of",
    "delete",
    "find_missing",
    "read_all",
    "read_epoch",
    "row_columns",
    "upsert",
]

CLOCK_AFTER = """
SELECT watermark, clock FROM ops.stream_epochs
WHERE job = %s AND checkpoint_id = %s AND epoch = %s"""

PIN_WATERMARK = """
INSERT INTO ops.stream_watermarks (job, checkpoint_id, epoch, watermark)
VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"""

PINNED_WATERMARK = """
SELECT watermark FROM ops.stream_watermarks
WHERE job = %s AND checkpoint_id = %s AND epoch = %s"""

FIND_EPOCH = """
SELECT generation, committed_at, watermark, clock, rows_in, duplicates
FROM ops.stream_epochs WHERE job = %s AND checkpoint_id = %s AND epoch = %s"""

NEWEST_EPOCH = """
SELECT generation, epoch FROM ops.stream_epochs WHERE job = %s
ORDER BY generation DESC, epoch DESC LIMIT 1"""

# The primary key lets one transaction win; another with the same epoch waits here for its end.
CLAIM_EPOCH = """
INSERT INTO ops.stream_epochs (job, checkpoint_id, epoch, generation, committed_at, watermark,
    clock, rows_in, rows_out, accepted, duplicates, rejected)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""

# Rows of epochs tell what went through lately; a stream commits tens of thousands a day.
FORGET_EPOCHS = """
DELETE FROM ops.stream_epochs WHERE job = %s AND checkpoint_id = %s AND epoch < %s"""
FORGET_WATERMARKS = """
DELETE FROM ops.stream_watermarks WHERE job = %s AND checkpoint_id = %s AND epoch < %s"""

PUT_DEAD_LETTER = """
INSERT INTO ops.dead_letters AS old (topic, partition, "offset", key, payload, received_at_us,
    reason_code, reason, contract_version, created_at, updated_at)
VALUES (%s, %s, %s, %b, %b, %s, %s, %s, %s, %s, %s)
ON CONFLICT (topic, partition, "offset") DO UPDATE SET
    reason_code = excluded.reason_code, reason = excluded.reason,
    contract_version = excluded.contract_version, updated_at = excluded.updated_at,
    -- Letters of older versions were kept without these.
    key = coalesce(old.key, excluded.key),
    received_at_us = coalesce(old.received_at_us, excluded.received_at_us)"""

PUT_ALERT = """
INSERT INTO ops.alerts (user_id, event_id, alert_type, severity, reason, value, threshold, event_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""

PUT_REFUSED = """
INSERT INTO ops.refused_rows
    (job, checkpoint_id, epoch, refused_at, store, target, key, reason)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"""

EVENT_AT = Column("event_at", ColumnType.TIMESTAMP, "Newest event time in the row.")
STAMPS = ("updated_at", "feature_version", "generation", "epoch")
# What stands in a CSV without quotes.
PLAIN = (ColumnType.LONG, ColumnType.INT, ColumnType.DOUBLE, ColumnType.TIMESTAMP)


def row_columns(view: FeatureView) -> tuple[Column, ...]:
    """What differs from row to row; the stamps are the same for a whole epoch."""
    return (*view.columns, EVENT_AT)


def create_incoming(view: FeatureView) -> sql.Composed:
    """The temporary table a view's rows are copied to; each commit empties it."""
    body = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(sql_type(column)))
        for column in row_columns(view)
    )
    statement = sql.SQL("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DELETE ROWS")
    return statement.format(_incoming(view), body)


def copy_rows(view: FeatureView) -> sql.Composed:
    """COPY of what `csv_of` makes."""
    names = _names(column.name for column in row_columns(view))
    copy = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')")
    return copy.format(_incoming(view), names)


def upsert(view: FeatureView) -> sql.Composed:
    """Move the incoming rows, but over no row of a newer epoch; parameters: the stamps."""
    key = _names(view.key)
    names = [column.name for column in row_columns(view)]
    every = [*names, *STAMPS]
    changes = sql.SQL(", ").join(
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name))
        for name in every
        if name not in view.key
    )
    return sql.SQL(
        "INSERT INTO {table} AS old ({every}) SELECT {names}, %s, %s, %s, %s FROM {incoming} "
        "ON CONFLICT ({key}) DO UPDATE SET {changes} "
        "WHERE (old.generation, old.epoch) < (excluded.generation, excluded.epoch)"
    ).format(
        table=sql.Identifier("online", view.name),
        every=_names(every),
        names=_names(names),
        incoming=_incoming(view),
        key=key,
        changes=changes,
    )


def delete(view: FeatureView) -> sql.Composed:
    """Delete an entity's row, unless a newer epoch wrote it; parameters: generation, epoch, key."""
    return sql.SQL("DELETE FROM {} WHERE (generation, epoch) < (%s, %s) AND {}").format(
        sql.Identifier("online", view.name),
        sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(part)) for part in view.key),
    )


def read_epoch(view: FeatureView) -> sql.Composed:
    """The rows that an epoch wrote; parameters: generation, epoch."""
    return sql.SQL("SELECT {} FROM {} WHERE generation = %s AND epoch = %s").format(
        _names(column.name for column in row_columns(view)), sql.Identifier("online", view.name)
    )


def read_all(view: FeatureView) -> sql.Composed:
    """The rows of every entity."""
    names = _names(column.name for column in row_columns(view))
    return sql.SQL("SELECT {} FROM {}").format(names, sql.Identifier("online", view.name))


def copy_out(view: FeatureView, columns: Sequence[Column]) -> sql.Composed:
    """These columns as CSV, in order of the rows' version: of rows written since a time and after a
    version; parameters: that time, generation, epoch.

    Times are microseconds, lists JSON; every string is quoted, a null is nothing.
    """
    texts = [column.name for column in columns if column.type not in PLAIN]
    return sql.SQL(
        "COPY (SELECT {} FROM {} WHERE updated_at > %s AND (generation, epoch) > (%s, %s) "
        "ORDER BY generation, epoch) TO STDOUT (FORMAT csv, FORCE_QUOTE ({}))"
    ).format(
        sql.SQL(", ").join(map(_copied_out, columns)),
        sql.Identifier("online", view.name),
        _names(texts),
    )


def _copied_out(column: Column) -> sql.Composed:
    name = sql.Identifier(column.name)
    if column.type is ColumnType.TIMESTAMP:
        form = sql.SQL("(extract(epoch FROM {0}) * 1000000)::bigint AS {0}")
    elif column.type is ColumnType.STRING_LIST:
        form = sql.SQL("to_json({0}) AS {0}")
    else:
        form = sql.SQL("{0}")
    return form.format(name)


def find_missing(view: FeatureView) -> sql.Composed:
    """The entities without a row; parameters: a list for each column of the key."""
    lists = (sql.SQL("%s::" + sql_type(column) + "[]") for column in view.entity)
    same = (sql.SQL("kept.{0} = found.{0}").format(sql.Identifier(part)) for part in view.key)
    return sql.SQL(
        "SELECT {key} FROM unnest({lists}) AS found ({key}) "
        "WHERE NOT EXISTS (SELECT FROM {table} AS kept WHERE {same})"
    ).format(
        key=_names(view.key),
        lists=sql.SQL(", ").join(lists),
        table=sql.Identifier("online", view.name),
        same=sql.SQL(" AND ").join(same),
    )


def csv_of(view: FeatureView, rows: pl.DataFrame) -> bytes:
    """The rows as CSV: every string quoted, a null as nothing."""
    selected = rows.select(_as_copied(column) for column in row_columns(view))
    text = selected.write_csv(include_header=False, quote_style="non_numeric", null_value="")
    return text.encode()


def _as_copied(column: Column) -> pl.Expr:
    if column.type is not ColumnType.STRING_LIST:
        return pl.col(column.name)
    item = pl.element().str.replace_all(r'(["\\])', r"\$1")
    quoted = pl.col(column.name).list.eval(pl.format('"{}"', item)).list.join(",")
    return pl.format("{{{}}}", quoted).alias(column.name)


def _incoming(view: FeatureView) -> sql.Identifier:
    return sql.Identifier("pg_temp", f"incoming_{view.name}")


def _names(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
