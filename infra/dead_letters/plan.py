"""Where each letter goes: back to its topic, into the archive, or nowhere yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from features.contracts import CONTRACTS
from features.validation import Rejected
from infra.dead_letters.judging import Judged, judge
from infra.dead_letters.letters import Connection, Letter, Place, read
from streaming.jobs import JOBS
from streaming.watermark import HORIZON_US

__all__ = ["JOB_OF", "Part", "Valid", "plan"]

LETTERS_AT_ONCE = 1000
BYTES_AT_ONCE = 32 << 20
LATE = "late"
JOB_OF = {topic: job.name for job in JOBS.values() for topic in job.topics}
WATERMARK = """
SELECT (extract(epoch FROM watermark) * 1000000)::bigint FROM ops.stream_epochs
WHERE job = %s ORDER BY committed_at DESC LIMIT 1"""


@dataclass(frozen=True, slots=True)
class Valid:
    """Letters with their events, row by row."""

    letters: Sequence[Letter]
    events: pl.DataFrame

    def at(self, chosen: Sequence[bool]) -> Valid:
        """Those that are chosen."""
        letters = [one for one, is_one in zip(self.letters, chosen, strict=True) if is_one]
        return Valid(letters, self.events.filter(pl.Series(chosen, dtype=pl.Boolean)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some letters of one topic. `version`: of its contract, if there is one."""

    topic: str
    version: int | None
    to_send: Valid
    to_archive: Valid
    invalid: Sequence[tuple[Letter, Rejected]]


def plan(connection: Connection, places: Sequence[tuple[Place, int]]) -> Iterator[Part]:
    """The letters at `places` (with the bytes of each), read a bounded number at a time."""
    for chunk in chunks(places):
        for judged in judge(read(connection, chunk)):
            yield _part(connection, judged)


def chunks(places: Sequence[tuple[Place, int]]) -> Iterator[list[Place]]:
    """Cut where there are enough letters, or enough bytes of them."""
    chunk: list[Place] = []
    size = 0
    for place, of_place in places:
        if chunk and (len(chunk) == LETTERS_AT_ONCE or size + of_place > BYTES_AT_ONCE):
            yield chunk
            chunk, size = [], 0
        chunk.append(place)
        size += of_place
    if chunk:
        yield chunk


def _part(connection: Connection, judged: Judged) -> Part:
    valid = Valid(judged.valid, judged.events)
    late = _late(connection, judged) if judged.valid else []
    contract = CONTRACTS.get(judged.topic)
    return Part(
        topic=judged.topic,
        version=contract.version if contract else None,
        to_send=valid.at([not is_late for is_late in late]),
        to_archive=valid.at(late),
        invalid=judged.invalid,
    )


def _late(connection: Connection, judged: Judged) -> list[bool]:
    """What was late stays late, and so is by now what lies behind the stream's dedup horizon."""
    found = connection.execute(WATERMARK, [JOB_OF[judged.topic]]).fetchone()
    oldest = found[0] - HORIZON_US if found and found[0] is not None else None
    times = judged.events["event_at"].dt.timestamp("us").to_list()
    return [
        letter.reason_code == LATE or (oldest is not None and at < oldest)
        for letter, at in zip(judged.valid, times, strict=True)
    ]
