"""What the driver tells every task of an epoch, through Spark's local properties."""

from __future__ import annotations

from pyspark import SparkContext, TaskContext

__all__ = ["tell_tasks", "watermark_of_task"]

WATERMARK = "userflow.watermark_us"


def tell_tasks(context: SparkContext, watermark_us: int | None) -> None:
    """Set the watermark of the jobs that this thread starts from now on."""
    context.setLocalProperty(WATERMARK, "" if watermark_us is None else str(watermark_us))


def watermark_of_task() -> int | None:
    """The watermark of the epoch that the running task belongs to; None before the first event."""
    context = TaskContext.get()
    told = context.getLocalProperty(WATERMARK) if context else None
    return int(told) if told else None
