"""What a benchmark asks of a peer: another way to compute the same, on the same log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from benchmarks.home import Say
from benchmarks.rates import Progress

__all__ = ["Peer", "Read"]


@dataclass(frozen=True, slots=True)
class Read:
    """`progress` begins with the start of the run and ends with its end; the steady rate leaves out
    the time until `warm_up` events were read.
    """

    progress: Progress
    warm_up: int


class Peer(Protocol):
    """Set up once, before anything is measured; then it reads the topic."""

    name: str

    def prepare(self, say: Say) -> None:
        """Install what it needs, where that is not there yet."""

    def read(self, topic: str, events: int, epoch: int) -> Read:
        """Read `events`, which is what the topic holds, or the first of them.

        `epoch` is how many of them the job reads in its first epoch.
        """
