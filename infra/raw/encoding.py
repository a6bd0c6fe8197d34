"""Checked events as rows of `raw.events`, in the text that COPY reads.

`event` is the event under the names of its contract: aliases are mapped, defaults filled in, times
are ISO-8601 in UTC, what is null is left out, and `extra` is an object of texts, always there.
Events with the same fields are encoded together, which leaves nulls out at no price for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime

import msgspec
import polars as pl

from features.contract import Contract, FieldType

__all__ = ["COLUMNS", "copy_text"]

COLUMNS = (
    "run_date",
    "topic",
    "event_id",
    "event_type",
    "user_id",
    "session_id",
    "event_at",
    "event",
    "run_id",
    "loaded_at",
)
KEYS = ("event_type", "user_id", "session_id")
ISO_UTC = "%Y-%m-%dT%H:%M:%S%.6fZ"
NULL = "\\N"
BITS = 60


def copy_text(
    contract: Contract, events: pl.DataFrame, *, run_date: date, run_id: str, loaded_at: datetime
) -> bytes:
    """One line for each event, in `COLUMNS`; the order of the events is not kept."""
    same = {
        "run_date": run_date.isoformat(),
        "topic": contract.topic,
        "run_id": run_id,
        "loaded_at": loaded_at.isoformat(),
    }
    fields = _under_their_names(contract, events)
    lines = [_lines(part, contract, same) for part in _by_fields(fields)]
    return b"".join(line.encode() for line in lines)


def _under_their_names(contract: Contract, events: pl.DataFrame) -> pl.DataFrame:
    times = [f.name for f in contract.stored_fields if f.type is FieldType.TIME]
    return events.select(
        "event_id",
        pl.col("event_at").dt.strftime(ISO_UTC).alias(contract.time_field),
        *(f.name for f in contract.stored_fields if f.name not in times),
        *(pl.col(name).dt.strftime(ISO_UTC) for name in times),
        extra=_extra(events["extra"]),
    )


def _extra(pairs: pl.Series) -> pl.Series:
    """Key and value pairs as the text of one object."""
    if pairs.null_count() == len(pairs):
        return pl.select(pl.repeat("{}", len(pairs))).to_series()
    encode = msgspec.json.encode
    objects = ({pair["key"]: pair["value"] for pair in row or ()} for row in pairs.to_list())
    return pl.Series([encode(one).decode() for one in objects], dtype=pl.String)


def _by_fields(events: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Parts of the events that have the same fields, each with these alone."""
    names = events.columns
    keys = {f"_nulls_{at}": _nulls(names[at : at + BITS]) for at in range(0, len(names), BITS)}
    parts = events.with_columns(**keys).partition_by([*keys], include_key=False)
    for part in parts:
        first = part.row(0)
        yield part.select(name for name, cell in zip(names, first, strict=True) if cell is not None)


def _nulls(names: Sequence[str]) -> pl.Expr:
    """Which fields are null, as bits of a number."""
    return pl.sum_horizontal(
        pl.col(name).is_null() * pl.lit(1 << bit, pl.Int64) for bit, name in enumerate(names)
    )


def _lines(events: pl.DataFrame, contract: Contract, same: Mapping[str, str]) -> str:
    document = pl.struct(pl.exclude("extra")).struct.json_encode().str.head(-1)
    columns = {
        **{name: pl.lit(text) for name, text in same.items()},
        **{name: _text(name) if name in events.columns else pl.lit(NULL) for name in KEYS},
        "event_id": _text("event_id"),
        "event_at": pl.col(contract.time_field),
        "event": _escaped(pl.concat_str(document, pl.lit(',"extra":'), "extra", pl.lit("}"))),
    }
    lines = pl.concat_str(*(columns[name] for name in COLUMNS), separator="\t") + "\n"
    text: str = events.select(lines.str.join("")).item()
    return text


def _text(name: str) -> pl.Expr:
    return _escaped(pl.col(name))


def _escaped(text: pl.Expr) -> pl.Expr:
    """Neither JSON nor an id holds a tab or a line break as such; a backslash is COPY's own."""
    return text.str.replace_all("\\", "\\\\", literal=True)
