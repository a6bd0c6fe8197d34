"""The machine under a benchmark: what it is, who else used it, what a process tree takes of it."""

from __future__ import annotations

import os
import platform
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

__all__ = ["PeakMemory", "conditions", "cpu_times", "peak_memory", "stolen"]

STEAL = 7  # its place in a line of /proc/stat
LOOK_EVERY_S = 0.25
GB = 1 << 30


def cpu_times() -> list[int]:
    """Ticks of all cores since boot by kind, as Linux counts them; zeros elsewhere."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return [0] * 8
    return [int(ticks) for ticks in stat.read_text().split("\n", 1)[0].split()[1:9]]


def stolen(before: list[int]) -> float:
    """The share of the CPU time since then that the host gave to others: 0 on a quiet one."""
    passed = [after - begun for begun, after in zip(before, cpu_times(), strict=True)]
    return passed[STEAL] / sum(passed) if sum(passed) else 0.0


def conditions(**more: object) -> dict[str, object]:
    """What a figure should never be told without."""
    return {
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / GB),
        "python": platform.python_version(),
        "spark": version("pyspark"),
        **more,
    }


@dataclass(slots=True)
class PeakMemory:
    """The most resident memory seen so far, in bytes, by part: `driver`, `jvm`, `workers`.

    Workers are forked and share pages, which count for each of them.
    """

    parts: Counter[str] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """All parts: each at its own peak."""
        return self.parts.total()

    def look(self, apart: frozenset[int]) -> None:
        """Look once; the process trees of the ids `apart` are not ours."""
        now = Counter({"driver": psutil.Process().memory_info().rss})
        for process in _children(psutil.Process(), apart):
            try:
                part = "jvm" if process.name() == "java" else "workers"
                now[part] += process.memory_info().rss
            except psutil.Error:  # it has ended since
                continue
        self.parts |= now


@contextmanager
def peak_memory(apart: frozenset[int]) -> Iterator[PeakMemory]:
    """Look again and again for as long as the block lasts."""
    peak, stop = PeakMemory(), threading.Event()

    def watch() -> None:
        while not stop.wait(LOOK_EVERY_S):
            peak.look(apart)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        stop.set()
        watcher.join()
        peak.look(apart)


def _children(process: Any, apart: frozenset[int]) -> Iterator[Any]:
    try:
        found = process.children()
    except psutil.Error:  # it has ended since
        return
    for child in found:
        if child.pid not in apart:
            yield child
            yield from _children(child, apart)
