"""Files of recorded events: which there are for a day, whose topic they hold, and their lines."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import IO, cast

from features.contracts import CONTRACTS
from features.contracts.commerce import COMMERCE
from features.validation import RECORDED, Accepted, validate
from infra.errors import LoadFailed

__all__ = ["Chunk", "chunks", "landed", "topic_of"]

SUFFIXES = (".jsonl", ".jsonl.gz")
# What is decoded at once; small enough that a day of any size needs no memory for its text, and
# that nobody waits long for the last one.
CHUNK_BYTES = 8 << 20
LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class Chunk:
    """Lines of a file, the blank ones left out; `numbers` count from 1; `read`: bytes of the file
    up to here.
    """

    numbers: Sequence[int]
    values: list[bytes]
    read: int


def landed(home: Path, day: date) -> list[Path]:
    """The files that landed for a day, by name; none where there is no folder."""
    folder = home / "landing" / day.isoformat()
    return [path for path in sorted(folder.glob("*")) if path.name.endswith(SUFFIXES)]


def topic_of(path: Path) -> str:
    """By the name, `<topic>*`, with `_` for `-` too; else whose contract takes most of its first
    lines, and knows most of their fields; else `user-events`.
    """
    name = path.name.replace("_", "-")
    named = [topic for topic in CONTRACTS if name.startswith(topic.replace("_", "-"))]
    if named:
        return max(named, key=len)
    first = list(islice((value for chunk in chunks(path) for value in chunk.values), LOOKED_AT))
    return max((COMMERCE.topic, *CONTRACTS), key=lambda topic: _fit(topic, first))


def _fit(topic: str, values: Iterable[bytes]) -> tuple[int, int]:
    """How many events a contract accepts, and how few of their fields it does not know."""
    verdicts = (validate(CONTRACTS[topic], value, 0, RECORDED) for value in values)
    events = [verdict.event for verdict in verdicts if isinstance(verdict, Accepted)]
    return len(events), -sum(len(event["extra"]) for event in events)


def chunks(path: Path) -> Iterator[Chunk]:
    """The lines as they are, without their ends; raises `LoadFailed` if they cannot be read."""
    try:
        with path.open("rb") as file:
            yield from _chunks(file, _opened(path, file))
    except EOFError as error:
        raise LoadFailed(
            f"{path} ends in the middle: it was only half written. Copy it again."
        ) from error
    except (OSError, zlib.error) as error:
        raise LoadFailed(f"{path} cannot be read: {error}.") from error


def _opened(path: Path, file: IO[bytes]) -> IO[bytes]:
    if path.suffix.lower() != ".gz":
        return file
    return cast("IO[bytes]", gzip.GzipFile(fileobj=file, mode="rb"))


def _chunks(file: IO[bytes], lines: IO[bytes]) -> Iterator[Chunk]:
    before = 0
    while part := lines.readlines(CHUNK_BYTES):
        values = [line.rstrip(b"\r\n") for line in part]
        numbers = range(before + 1, before + len(part) + 1)
        before += len(part)
        if b"" in values:
            kept = [(number, value) for number, value in zip(numbers, values, strict=True) if value]
            yield Chunk([number for number, _ in kept], [value for _, value in kept], file.tell())
        else:
            yield Chunk(numbers, values, file.tell())
