"""Lines to frames: on all cores, once there is enough to decode.

This process is one of them. What it decodes itself needs to be packed for nobody, and while the
others start, which takes a second or two, it has begun.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
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
# Parts that each of the others has before it, so that it never waits for us.
PREPARED = 2


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
    others = (os.cpu_count() or 1) - 1
    # Who is a daemon may start no processes.
    if size < WORTH_PROCESSES or not others or current_process().daemon:
        yield from map(decode, lines)
        return
    try:
        with ProcessPoolExecutor(others, mp_context=get_context("spawn")) as pool:
            yield from _shared(lines, pool, most=PREPARED * others)
    except BrokenProcessPool as error:
        raise LoadFailed(
            "A process that decoded the day was killed, most likely for want of memory: free some "
            "and load the day again. Nothing was changed."
        ) from error


def _shared(lines: Iterable[Lines], pool: Executor, most: int) -> Iterator[Frames]:
    """Some of the lines by others, who have up to `most` parts before them, and some by us."""
    waiting: deque[Future[Frames]] = deque()
    for some in lines:
        if sum(not one.done() for one in waiting) < most:
            waiting.append(pool.submit(decode, some))
        else:
            mine: Future[Frames] = Future()
            mine.set_result(decode(some))
            waiting.append(mine)
        while waiting and waiting[0].done():
            yield waiting.popleft().result()
    for future in waiting:
        yield future.result()


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
