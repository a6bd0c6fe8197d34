"""Recorded events from files, in chunks: JSON lines as they are, tables as one object per row.

The bytes of a JSON line are not touched. A table's cells become fields under the names of its
columns, empty ones left out; the contract's aliases know the public data sets. Every record says it
was received when it happened, so that history is not too old.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any, cast

import msgspec
import polars as pl

from features.contract import Contract, Field
from features.timestamps import BadTimestamp, parse_timestamp
from producer.errors import UnreadableFile
from producer.sent import Sent
from producer.times import MS_US, SECOND_US

__all__ = ["FORMATS", "at_rate", "recorded"]

ROWS = 10_000
Values = Iterator[tuple[bytes, Mapping[str, Any]]]


def recorded(contract: Contract, paths: Iterable[Path]) -> Iterator[Sent]:
    """The records of the files, one after the other; raises `UnreadableFile`."""
    for path in paths:
        read = _reader(path)
        try:
            for value, document in read(path):
                yield _record(contract, value, document)
        except (OSError, EOFError, pl.exceptions.PolarsError) as error:
            raise UnreadableFile(f"{path} cannot be read: {error}.") from error


def at_rate(records: Iterable[Sent], rate: float) -> Iterator[Sent]:
    """The same records, due evenly from 0."""
    for number, sent in enumerate(records):
        yield msgspec.structs.replace(sent, due_us=int(number * SECOND_US / rate))


def _reader(path: Path) -> Callable[[Path], Values]:
    if not path.is_file():
        raise UnreadableFile(f"There is no file {path}.")
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    if not suffixes or suffixes[-1] not in FORMATS:
        known = ", ".join(FORMATS)
        raise UnreadableFile(f"{path} is none of {known}, each also with .gz where it is text.")
    return FORMATS[suffixes[-1]]


def _record(contract: Contract, value: bytes, document: Mapping[str, Any]) -> Sent:
    happened_us = _event_time(contract, document)
    return Sent(
        topic=contract.topic,
        key=_key(contract, document),
        value=value,
        event_at_us=happened_us or 0,
        due_us=0,
        received_at_ms=None if happened_us is None else happened_us // MS_US,
    )


def _event_time(contract: Contract, document: Mapping[str, Any]) -> int | None:
    try:
        return parse_timestamp(_found(contract.field(contract.time_field), document))
    except BadTimestamp:
        return None


def _key(contract: Contract, document: Mapping[str, Any]) -> bytes | None:
    for name in contract.key:
        value = _found(contract.field(name), document)
        if isinstance(value, str | int) and not isinstance(value, bool):
            return str(value).encode("utf-8", "replace")
    return None


def _found(field: Field, document: Mapping[str, Any]) -> Any:
    for path in field.paths:
        value: Any = document
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            return value
    return None


def _opened(path: Path) -> IO[bytes]:
    if path.suffix.lower() == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    return path.open("rb")


def _json_lines(path: Path) -> Values:
    with _opened(path) as lines:
        for line in lines:
            value = line.rstrip(b"\r\n")
            if value:
                yield value, _document(value)


def _document(value: bytes) -> Mapping[str, Any]:
    """Only to find key and time; what is not JSON is sent all the same and dead-lettered."""
    try:
        document = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _csv(path: Path) -> Values:
    if _is_blank(path):
        return iter(())
    # Cells stay text: the contract reads numbers from it, and refuses what is none.
    return _rows(pl.scan_csv(path, infer_schema=False))


def _is_blank(path: Path) -> bool:
    with _opened(path) as content:
        return not content.read(1)


def _parquet(path: Path) -> Values:
    return _rows(pl.scan_parquet(path))


def _rows(table: pl.LazyFrame) -> Values:
    for chunk in table.collect_batches(chunk_size=ROWS, maintain_order=True):
        for row in chunk.iter_rows(named=True):
            document = {name: _plain(cell) for name, cell in row.items() if cell not in (None, "")}
            yield msgspec.json.encode(document), document


def _plain(cell: Any) -> Any:
    """Dates as contracts read them; everything else is JSON already."""
    if isinstance(cell, datetime | date):
        return cell.isoformat()
    return cell


FORMATS: dict[str, Callable[[Path], Values]] = {
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".parquet": _parquet,
}
