"""A day from files of JSON lines, decoded by the contract of their topic."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import polars as pl

from expectations.checks.day import CARTS
from features.contracts.commerce import COMMERCE
from infra.errors import LoadFailed
from infra.raw.decoding import Lines, decode, decoded
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
        return _read(self.paths(day), day, progress)

    def carts(self, day: date) -> pl.DataFrame:
        """Of what landed for that day."""
        return _carts(landed(self.home, day), day)

    def paths(self, day: date) -> Sequence[Path]:
        """Which files they are; raises `LoadFailed` if one or all are missing."""
        for path in self.named:
            if not path.is_file():
                raise LoadFailed(f"There is no file {path}: name files of JSON lines, also as .gz.")
        found = self.named or landed(self.home, day)
        if not found:
            raise LoadFailed(
                f"No *.jsonl or *.jsonl.gz is in {self.home / 'landing' / day.isoformat()}: put "
                "the files of the day there, or name them with --from."
            )
        return found


def _read(paths: Sequence[Path], day: date, progress: Progress) -> Mapping[str, Part]:
    size = sum(path.stat().st_size for path in paths)
    parts: dict[str, list[Part]] = defaultdict(list)
    for frames in decoded(_lines(paths, day), size):
        parts[frames.topic].append(frames.part)
        progress("reading", frames.read, size)
    return {topic: _joined(those) for topic, those in parts.items()}


def _lines(paths: Sequence[Path], day: date) -> Iterator[Lines]:
    before = 0
    for path in paths:
        topic = topic_of(path)
        for chunk in chunks(path):
            so_far = replace(chunk, read=before + chunk.read)
            yield Lines(topic=topic, file=path.name, day=day, chunk=so_far)
        before += path.stat().st_size


def _carts(paths: Sequence[Path], day: date) -> pl.DataFrame:
    found = [pl.DataFrame(schema=CARTS)]
    for lines in _lines([path for path in paths if topic_of(path) == COMMERCE.topic], day):
        # Decoding is what takes time, and few lines are about carts.
        values = [value for value in lines.chunk.values if b"cart" in value]
        some = replace(lines.chunk, values=values, numbers=range(len(values)))
        events, _ = decode(replace(lines, chunk=some)).part
        found.append(carts_in(events))
    return pl.concat(found).unique()


def _joined(parts: Sequence[Part]) -> Part:
    events, rejects = zip(*parts, strict=True)
    return pl.concat(events), pl.concat(rejects)
