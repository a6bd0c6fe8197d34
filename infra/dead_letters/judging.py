"""What today's contract says about letters: by the very decoder that the stream uses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any

import polars as pl

from features.contract import Contract
from features.contracts import CONTRACTS
from features.decoding import Decoder
from features.validation import Rejected
from infra.dead_letters.letters import Letter

__all__ = ["UNKNOWN_TOPIC", "Judged", "judge", "key_of"]

UNKNOWN_TOPIC = "unknown_topic"
UTC = pl.Datetime("us", "UTC")


@dataclass(frozen=True, slots=True)
class Judged:
    """Letters of one topic. `events`: what is valid as the archive keeps it, one row for each of
    `valid`, in their order. `invalid`: the others with their reason now.
    """

    topic: str
    valid: Sequence[Letter]
    events: pl.DataFrame
    invalid: Sequence[tuple[Letter, Rejected]]


def judge(letters: Sequence[Letter]) -> Iterator[Judged]:
    """The letters by topic; they come in the order of their places."""
    for topic, group in groupby(letters, lambda letter: letter.topic):
        of_topic = list(group)
        if topic in CONTRACTS:
            yield _judged(CONTRACTS[topic], of_topic)
        else:
            rejected = Rejected(UNKNOWN_TOPIC, f"There is no contract for topic {topic}.")
            nothing = pl.DataFrame()
            yield Judged(topic, [], nothing, [(letter, rejected) for letter in of_topic])


def key_of(letter: Letter, event: dict[str, Any]) -> bytes | None:
    """The record's key; where none was kept, the one that the contract takes from the event."""
    if letter.key is not None:
        return letter.key
    known = (event.get(name) for name in CONTRACTS[letter.topic].key)
    return next((str(value).encode() for value in known if value is not None), None)


@cache
def _decoder(topic: str) -> Decoder:
    return Decoder(CONTRACTS[topic])


def _judged(contract: Contract, letters: Sequence[Letter]) -> Judged:
    received = pl.Series([letter.received_ms * 1000 for letter in letters], dtype=pl.Int64)
    decoded = _decoder(contract.topic).decode([letter.payload for letter in letters], received)
    rows = decoded.events["row"]
    events = decoded.events.drop("row").with_columns(
        kafka_partition=_values([letter.partition for letter in letters], pl.Int32, rows),
        kafka_offset=_values([letter.offset for letter in letters], pl.Int64, rows),
        received_at=received.gather(rows).cast(UTC),
        contract_version=pl.lit(contract.version, pl.Int32),
    )
    invalid = [
        (letters[row], Rejected(code, reason)) for row, code, reason in decoded.rejects.rows()
    ]
    return Judged(contract.topic, [letters[row] for row in rows], events, invalid)


def _values(values: Sequence[int], dtype: Any, rows: pl.Series) -> pl.Series:
    return pl.Series(values, dtype=dtype).gather(rows)
