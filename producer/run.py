"""From records to a sink: at their pace or as fast as it takes them, counted, stoppable.

The pace is an open loop: due times are fixed, so a slow moment is caught up and nothing drifts. The
clock and the waiting are arguments.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from threading import Event
from typing import Any

from producer.sent import Sent
from producer.sinks.port import Sink
from producer.times import SECOND_US

__all__ = ["Pace", "Summary", "paced", "run", "unpaced"]

BATCH = 1000
# Below this a wait costs more than the batches it would make smaller.
SHORTEST_WAIT_S = 0.005

Batches = Iterator[list[Sent]]


@dataclass(frozen=True, slots=True)
class Pace:
    """`start_us` is the due time that falls on now; `wait` returns early and true when stopped."""

    start_us: int
    clock: Callable[[], float]
    wait: Callable[[float], bool]


@dataclass(slots=True)
class Summary:
    """What was sent; a run that was stopped has one too."""

    seconds: float = 0.0
    refused: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    topics: Counter[str] = field(default_factory=Counter)

    @property
    def sent(self) -> int:
        """All records."""
        return self.topics.total()

    def add(self, batch: list[Sent]) -> None:
        """Count a batch."""
        for sent in batch:
            self.kinds[sent.kind] += 1
            self.topics[sent.topic] += 1

    def to_json(self) -> dict[str, Any]:
        """The document that `--json` prints."""
        return {
            "sent": self.sent,
            "bad": self.kinds["bad"],
            "late": self.kinds["late"],
            "duplicates": self.kinds["duplicate"],
            "refused": self.refused,
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self.sent / self.seconds) if self.seconds else 0,
            "topics": dict(sorted(self.topics.items())),
        }

    def line(self) -> str:
        """The same for a person, in one line."""
        counts = self.to_json()
        extra = [
            f"{counts[n]:,} {n}" for n in ("bad", "late", "duplicates", "refused") if counts[n]
        ]
        spoilt = f" ({', '.join(extra)})" if extra else ""
        return (
            f"Sent {self.sent:,} events{spoilt} to {', '.join(self.topics) or 'nothing'} in "
            f"{self.seconds:.1f} s, {counts['events_per_second']:,}/s."
        )


def unpaced(records: Iterable[Sent]) -> Batches:
    """Full batches, as fast as they are taken."""
    remaining = iter(records)
    while batch := list(islice(remaining, BATCH)):
        yield batch


def paced(records: Iterable[Sent], pace: Pace) -> Batches:
    """What is due by now, again and again; ends when `pace.wait` says that the run was stopped."""
    began = pace.clock()
    batch: list[Sent] = []
    due_until_us = pace.start_us
    for sent in records:
        while sent.due_us > due_until_us:
            if batch:
                yield batch
                batch = []
            due_until_us = pace.start_us + int((pace.clock() - began) * SECOND_US)
            ahead_s = (sent.due_us - due_until_us) / SECOND_US
            if ahead_s > 0 and pace.wait(max(ahead_s, SHORTEST_WAIT_S)):
                return
        batch.append(sent)
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


def run(
    batches: Batches,
    sink: Sink,
    *,
    stopped: Event,
    progress: Callable[[int], object] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
) -> Summary:
    """Send until the end or until `stopped`; what was taken has arrived when this returns."""
    summary, began = Summary(), clock()
    with sink:
        for batch in batches:
            sink.send(batch)
            summary.add(batch)
            progress(len(batch))
            if stopped.is_set():
                break
        sink.flush()
    summary.seconds = clock() - began
    summary.refused = sink.refused
    return summary
