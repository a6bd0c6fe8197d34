"""Work on the thread on which polars computes.

Each operation of polars is done by a thread of its pool, also where that has a single one, and so
each costs two changes of threads, more than most operations on some thousand rows take, and on
a busy machine twice the wait for a core. Who already is on that thread has none of that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import polars as pl

__all__ = ["on_polars_thread"]

T = TypeVar("T")


def on_polars_thread(work: Callable[[], T]) -> T:
    """What `work` returns or raises.

    Until then that thread does nothing else: `work` must not wait for a thread that uses polars.
    """
    done: list[T] = []
    raised: list[BaseException] = []

    def run(column: pl.Series) -> pl.Series:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - polars would make another of it
            raised.append(error)
        return column

    frame = pl.DataFrame({"first": [0], "second": [0]})
    # A single expression would be computed by whoever asks for it.
    frame.select(pl.col("first").map_batches(run, return_dtype=pl.Int64), pl.col("second").sum())
    if raised:
        raise raised[0]
    return done[0]
