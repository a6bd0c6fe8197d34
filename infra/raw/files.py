"""A day from files of JSON lines, decoded by the contract of their topic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cache
from pathlib import Path

import polars as pl

from expectations.checks.day import CARTS
from features.contracts import CONTRACTS
from features.contracts.commerce import COMMERCE
from features.decoding import Decoded, Decoder
from features.validation import RECORDED
from infra.errors import LoadFailed
from infra.raw.landing import chunks, landed, topic_of
from infra.raw.source import Part, Progress, carts_in

__all__ = ["Files"]


@dataclass(frozen=True, slots=True)
class Files:
    """The files that are named, else those that landed below the home."""

    home: Path
    named: tuple[Path, ...] = ()

    def read(self, day: date, progress: Progress) -> Mapping[str, Part]:
        """All of the files."""
        return _read(self.named or self._landed(day), day, progress)

    def carts(self, day: date) -> pl.DataFrame:
        """Of what landed for that day."""
        return _carts(landed(self.home, day), day)

    def _landed(self, day: date) -> Sequence[Path]:
        found = landed(self.home, day)
        if not found:
            raise LoadFailed(
                f"No *.jsonl or *.jsonl.gz is in {self.home / 'landing' / day.isoformat()}: put "
                "the files of the day there, or name them with --from."
            )
        return found


def _read(paths: Sequence[Path], day: date, progress: Progress) -> Mapping[str, Part]:
    for path in paths:
        if not path.is_file():
            raise LoadFailed(f"There is no file {path}: name files of JSON lines, also as .gz.")
    total, before = sum(path.stat().st_size for path in paths), 0
    parts: dict[str, list[Part]] = defaultdict(list)
    for path in paths:
        topic = topic_of(path)
        for chunk in chunks(path):
            decoded = _decode(topic, chunk.values, day)
            parts[topic].append(_placed(decoded, path.name, chunk.numbers))
            progress("reading", before + chunk.read, total)
        before += path.stat().st_size
    return {topic: _joined(those) for topic, those in parts.items()}


def _carts(paths: Iterable[Path], day: date) -> pl.DataFrame:
    found = [pl.DataFrame(schema=CARTS)]
    for path in paths:
        if topic_of(path) == COMMERCE.topic:
            for chunk in chunks(path):
                # Decoding is what takes time, and few lines are about carts.
                values = [value for value in chunk.values if b"cart" in value]
                found.append(carts_in(_decode(COMMERCE.topic, values, day).events))
    return pl.concat(found).unique()


@cache
def _decoder(topic: str) -> Decoder:
    return Decoder(CONTRACTS[topic], RECORDED)


def _decode(topic: str, values: Sequence[bytes], day: date) -> Decoded:
    # What has no time of its own happened as its day began.
    midnight = int(datetime.combine(day, time(), UTC).timestamp()) * 1_000_000
    received = pl.repeat(midnight, len(values), dtype=pl.Int64, eager=True)
    return _decoder(topic).decode(values, received)


def _placed(decoded: Decoded, file: str, numbers: Sequence[int]) -> Part:
    lines = pl.Series(numbers, dtype=pl.Int64)
    events, rejects = (
        frame.select(
            pl.lit(file).alias("file"), lines[frame["row"]].alias("line"), pl.exclude("row")
        )
        for frame in (decoded.events, decoded.rejects)
    )
    return events, rejects


def _joined(parts: Sequence[Part]) -> Part:
    events, rejects = zip(*parts, strict=True)
    return pl.concat(events), pl.concat(rejects)
