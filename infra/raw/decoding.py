"""Lines to frames: by one process for each core, once there is enough to decode."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cache
from multiprocessing import current_process, get_context

import polars as pl

from features.contracts import CONTRACTS
from features.decoding import Decoder
from features.validation import RECORDED
from infra.errors import LoadFailed
from infra.raw.landing import Chunk
from infra.raw.source import Part

__all__ = ["Frames", "Lines", "decode", "decoded"]

# Starting a process takes as long as decoding about this much.
WORTH_PROCESSES = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Lines of a file with events of one topic, to be loaded as one day."""

    topic: str
    file: str
    day: date
    chunk: Chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """What lines became; `read` as in `Chunk`."""

    topic: str
    part: Part
    read: int


def decoded(lines: Iterable[Lines], size: int) -> Iterator[Frames]:
    """In the order of the lines; `size`: bytes of all files."""
    # Who is a daemon may start no processes.
    if size < WORTH_PROCESSES or current_process().daemon:
        yield from map(decode, lines)
        return
    cores = os.cpu_count() or 1
    try:
        with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
            waiting: deque[Future[Frames]] = deque()
            for some in lines:
                waiting.append(pool.submit(decode, some))
                # So much text is in memory at a time.
                if len(waiting) > 2 * cores:
                    yield waiting.popleft().result()
            for future in waiting:
                yield future.result()
    except BrokenProcessPool as error:
        raise LoadFailed(
            "A process that decoded the day was killed, most likely for want of memory: free some "
            "and load the day again. Nothing was changed."
        ) from error


def decode(lines: Lines) -> Frames:
    """Events and rejects, each with its place."""
    values, numbers = lines.chunk.values, pl.Series(lines.chunk.numbers, dtype=pl.Int64)
    # What has no time of its own happened as its day began.
    midnight = int(datetime.combine(lines.day, time(), UTC).timestamp()) * 1_000_000
    received = pl.repeat(midnight, len(values), dtype=pl.Int64, eager=True)
    found = _decoder(lines.topic).decode(values, received)
    events, rejects = (
        frame.select(
            pl.lit(lines.file).alias("file"),
            numbers[frame["row"]].alias("line"),
            pl.exclude("row"),
        )
        for frame in (found.events, found.rejects)
    )
    return Frames(topic=lines.topic, part=(events, rejects), read=lines.chunk.read)


@cache
def _decoder(topic: str) -> Decoder:
    return Decoder(CONTRACTS[topic], RECORDED)
