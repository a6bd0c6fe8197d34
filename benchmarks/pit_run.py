"""Our side of `userflow bench pit`, in a process of its own: it imports what a user would."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from serving.training import training_set
from serving.training.modes import ModeName

__all__ = ["run"]


def run(
    *, labels: str, lake: str, features: Sequence[str], mode: ModeName, out: str
) -> dict[str, float]:
    """Make the set of the labels in memory, and write it when the clock has stopped."""
    given = pl.read_parquet(labels)
    begun, used = time.perf_counter(), time.process_time()
    made = training_set(given, features, lake=lake, mode=mode)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - used
    peak = _peak_bytes()
    made.write_parquet(out)
    return {"seconds": seconds, "cpu_seconds": cpu, "peak_bytes": peak}


def _peak_bytes() -> int:
    """The most resident memory so far; what `getrusage` says may be the parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
