"""Where the dashboard reads: plain values, made by whoever starts it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Sources"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """`postgres`: a connection string that holds a password and drops to a role which only reads.
    `streams`: the folder where streaming processes write where their `/metrics` is.
    """

    kafka: str
    postgres: str = field(repr=False)
    streams: Path
