"""The one board of this process.

Streamlit runs its script anew for each page and each refresh, and hands it nothing: so what they
share stands in a module, put there by `server` before the first page and taken away after the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from serving.dashboard.board import Board
from serving.dashboard.sources import Sources

__all__ = ["board", "reading"]

_boards: list[Board] = []


@contextmanager
def reading(sources: Sources) -> Iterator[Board]:
    """Read these sources for as long as the block runs."""
    _boards.append(Board(sources))
    try:
        yield _boards[-1]
    finally:
        _boards.pop().stop()


def board() -> Board:
    """The board that pages show."""
    return _boards[-1]
