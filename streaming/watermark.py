"""The watermark: how far event time is complete.

It is ours and not Spark's, whose filter would drop a late row before anybody sees it. It is decided
once per epoch, on the driver, from what the epochs before have read; an epoch runs with one value
in every task, and a retry of it with the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from streaming.ports import Clock

__all__ = ["DELAY_US", "HORIZON_US", "advance", "when_idle"]

SECOND = 1_000_000
DELAY_US = 10 * SECOND
HORIZON_US = 3600 * SECOND
IDLE_AFTER_US = 10 * SECOND


def advance(clock: Clock, read: Clock, end_offsets: Mapping[str, int] | None) -> Clock:
    """The clock after an epoch that read `read`.

    The minimum, over partitions with unread data, of the largest event time read, less the delay;
    once nothing is unread (`end_offsets` None: the epoch took all there was) the largest of all.
    """
    offsets = {**clock.offsets, **read.offsets}
    times = dict(clock.event_times)
    for partition, at in read.event_times.items():
        times[partition] = max(at, times.get(partition, at))
    watermark = _watermark(times, offsets, end_offsets or {})
    if watermark is None or (clock.watermark_us is not None and watermark < clock.watermark_us):
        watermark = clock.watermark_us
    return Clock(watermark_us=watermark, event_times=times, offsets=offsets)


def _watermark(
    times: Mapping[str, int], offsets: Mapping[str, int], ends: Mapping[str, int]
) -> int | None:
    unread = [partition for partition, end in ends.items() if offsets.get(partition, 0) < end]
    if any(partition not in times for partition in unread):
        return None  # a partition of which nothing is known yet holds everything back
    known = [times[p] for p in unread]
    slowest = min(known) if known else max(times.values(), default=None)
    return None if slowest is None else slowest - DELAY_US


def when_idle(watermark_us: int, drained_at_us: int, now_us: int) -> int:
    """The watermark of a stream that has had nothing to read since `drained_at_us` (wall clock).

    After ten quiet seconds it moves at wall speed, never past ten seconds ago.
    """
    quiet = now_us - drained_at_us - IDLE_AFTER_US
    if quiet <= 0:
        return watermark_us
    return max(watermark_us, min(watermark_us + quiet, now_us - DELAY_US))
