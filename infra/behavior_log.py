"""What comes before a day of behaviour is loaded: which files there are, and whether they are good.

Steps of a pipeline; `userflow load-raw` is both and the load in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from infra.raw.files import Files
from infra.raw_load import RawDay, check_raw
from infra.settings import Settings

__all__ = ["Collected", "check", "collect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The files that landed for a day, and their size."""

    files: Sequence[Path]
    bytes: int


def collect(settings: Settings, run_date: date) -> Collected:
    """Find what landed; raises `LoadFailed` if nothing has."""
    files = Files(settings.home).paths(run_date)
    return Collected(files=files, bytes=sum(path.stat().st_size for path in files))


def check(settings: Settings, run_date: date) -> RawDay:
    """The seven checks, whose outcome goes to `ops.quality_log`; raises `LoadFailed`."""
    return check_raw(settings, run_date)
