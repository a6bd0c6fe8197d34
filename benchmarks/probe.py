"""When an event could be read: an observer beside the stream, with no part in it.

It knows nothing but keys and times, and asks Redis as a reader would. Run it in a process of its
own: it must not wait for the interpreter of those whom it observes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis

__all__ = ["Sample", "watch"]

# What a reading can be too late by, with the time that Redis takes to answer.
LOOK_EVERY_S = 0.02
MS_US = 1000


@dataclass(frozen=True, slots=True)
class Sample:
    """An event, due to be sent at `due_us`; readable once `event_at` of the hash has reached its
    own, both as the text that stands in Redis.
    """

    key: str
    event_at: str
    due_us: int


def watch(url: str, samples: Sequence[Sample], until_us: int) -> list[float]:
    """Milliseconds from due to readable, for each sample that is readable before `until_us`."""
    ahead = sorted(samples, key=lambda sample: sample.due_us, reverse=True)
    waiting: list[Sample] = []
    found: list[float] = []
    with Redis.from_url(url, decode_responses=True) as client:
        while (waiting or ahead) and (now := _now_us()) < until_us:
            while ahead and ahead[-1].due_us <= now:
                waiting.append(ahead.pop())
            event_at = _event_times(client, waiting)
            seen_us = _now_us()
            pairs = list(zip(waiting, event_at, strict=True))
            found += [(seen_us - s.due_us) / MS_US for s, at in pairs if _has(at, s)]
            waiting = [sample for sample, at in pairs if not _has(at, sample)]
            time.sleep(LOOK_EVERY_S)
    return found


def _event_times(client: Redis, samples: Sequence[Sample]) -> list[str | None]:
    with client.pipeline(transaction=False) as trip:
        for sample in samples:
            trip.hget(sample.key, "event_at")
        answers: list[str | None] = trip.execute()
    return answers


def _has(event_at: str | None, sample: Sample) -> bool:
    return event_at is not None and event_at >= sample.event_at


def _now_us() -> int:
    return time.time_ns() // 1000
