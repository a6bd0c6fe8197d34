"""What the driver tells every task of an epoch, through Spark's local properties."""

from __future__ import annotations

from pyspark import SparkContext, TaskContext

__all__ = ["is_replay_of_task", "tell_tasks", "watermark_of_task"]

WATERMARK = "userflow.watermark_us"
REPLAY = "userflow.is_replay"


def tell_tasks(context: SparkContext, watermark_us: int | None, *, is_replay: bool) -> None:
    """Set what holds for the jobs that this thread starts from now on."""
    context.setLocalProperty(WATERMARK, "" if watermark_us is None else str(watermark_us))
    context.setLocalProperty(REPLAY, str(is_replay))


def watermark_of_task() -> int | None:
    """The watermark of the epoch that the running task belongs to; None before the first event."""
    told = _told(WATERMARK)
    return int(told) if told else None


def is_replay_of_task() -> bool:
    """Whether only event time counts: nobody waits, so time passes to the microsecond."""
    return _told(REPLAY) == str(True)


def _told(name: str) -> str | None:
    context = TaskContext.get()
    return context.getLocalProperty(name) if context else None
