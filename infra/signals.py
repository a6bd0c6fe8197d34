"""Signals for as long as a block runs; afterwards the handlers from before are back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["handled", "stopping"]

Handler = Callable[[int, Any], Any] | signal.Handlers


@contextmanager
def handled(handler: Handler, *kinds: signal.Signals) -> Iterator[None]:
    """Let `handler` take these signals."""
    before = {kind: signal.signal(kind, handler) for kind in kinds}
    try:
        yield
    finally:
        for kind, old in before.items():
            signal.signal(kind, old)


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a second one acts as it did before the block."""
    stopped = threading.Event()
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = {kind: signal.getsignal(kind) for kind in kinds}

    def stop(kind: int, _frame: Any) -> None:
        stopped.set()
        signal.signal(kind, before[signal.Signals(kind)])

    with handled(stop, *kinds):
        yield stopped
