"""A training set as a file: whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from uuid import uuid4

import polars as pl
import polars.selectors as cs

from serving.training.errors import BadOutput

__all__ = ["check_output", "write_set"]


def _write_csv(rows: pl.DataFrame, path: Path) -> None:
    """Lists as JSON: a cell of CSV is a text."""
    nested = [name for name, dtype in rows.schema.items() if dtype.is_nested()]
    rows.with_columns(_as_json(name) for name in nested).with_columns(
        cs.datetime().dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    ).write_csv(path)


def _as_json(name: str) -> pl.Expr:
    document = pl.struct(name).struct.json_encode()
    value = document.str.slice(len(f'{{"{name}":')).str.head(-1)
    return pl.when(pl.col(name).is_not_null()).then(value).alias(name)


Write = Callable[[pl.DataFrame, Path], object]
WRITERS: Mapping[str, Write] = MappingProxyType(
    {
        ".parquet": pl.DataFrame.write_parquet,
        ".csv": _write_csv,
        ".jsonl": pl.DataFrame.write_ndjson,
    }
)


def check_output(path: Path) -> None:
    """Raise `BadOutput` if no set can be written there, before it is made."""
    if path.suffix not in WRITERS:
        raise BadOutput(f"{path} has suffix {path.suffix!r}; expected {', '.join(WRITERS)}.")
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise BadOutput(f"{path} cannot be written: it is a folder, or lies in none that exists.")


def write_set(rows: pl.DataFrame, path: Path) -> int:
    """Write it as its suffix says, in place of what is there; returns its bytes."""
    check_output(path)
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        WRITERS[path.suffix](rows, unfinished)
        unfinished.replace(path)
    except OSError as error:
        raise BadOutput(f"{path} cannot be written: {error}.") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return path.stat().st_size
