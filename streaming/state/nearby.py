"""Blobs that the workers of an executor have stored lately, as files beside Spark's own.

Spark gives a bucket now to one worker and now to another, and it takes each byte of a blob through
several forms on its way to Python: a file is ten times sooner there. What is here is a copy of what
never changes; whatever is not here, Spark has.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = ["Nearby"]

# Who needs what was stored longer ago has read it; others ask Spark.
KEPT_S = 60.0
SWEEP_EVERY_S = 10.0


class Nearby:
    """The blobs in a folder, by number. A full or broken disk makes it forgetful, nothing else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._swept_at = time.monotonic()
        with suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @classmethod
    def of_worker(cls) -> Nearby | None:
        """Where Spark lets its workers write, and removes what they wrote; None outside of one."""
        places = os.environ.get("SPARK_LOCAL_DIRS")
        return None if not places else _nearby(Path(places.split(",")[0]) / "userflow-state")

    def read(self, number: int) -> bytes | None:
        """The blob of that number."""
        try:
            return self._file(number).read_bytes()
        except OSError:
            return None

    def write(self, number: int, blob: bytes) -> None:
        """Keep a copy for a while; a reader sees all of it or nothing."""
        unfinished = self._folder / f"{number}.{os.getpid()}"
        try:
            unfinished.write_bytes(blob)
            unfinished.rename(self._file(number))
        except OSError:
            with suppress(OSError):
                unfinished.unlink()
        if time.monotonic() - self._swept_at > SWEEP_EVERY_S:
            self._sweep()

    def drop(self, number: int) -> None:
        """Nobody asks for it again."""
        with suppress(OSError):
            self._file(number).unlink()

    def _file(self, number: int) -> Path:
        return self._folder / str(number)

    def _sweep(self) -> None:
        self._swept_at = time.monotonic()
        with suppress(OSError):
            for file in self._folder.iterdir():
                with suppress(OSError):
                    if time.time() - file.stat().st_mtime > KEPT_S:
                        file.unlink()


@cache  # of a worker, which lives longer than a task: it remembers when it has swept
def _nearby(folder: Path) -> Nearby:
    return Nearby(folder)
