"""The port: records in batches, then a flush after which everything has arrived or an error is up.

A sink is a context manager; leaving it flushes, and closes what it opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from producer.sent import Sent

__all__ = ["MemorySink", "Sink"]


class Sink(Protocol):
    """`refused` counts what the other side received and turned down; it stays a result."""

    refused: int

    def send(self, batch: Sequence[Sent]) -> None:
        """Take a batch, in order; may still hold it when it returns."""

    def flush(self) -> None:
        """Return when all taken records have arrived; raises `DeliveryFailed`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class MemorySink:
    """The twin for tests: keeps what it was sent."""

    def __init__(self) -> None:
        self.records: list[Sent] = []
        self.refused = 0

    def send(self, batch: Sequence[Sent]) -> None:
        """Keep the batch."""
        self.records.extend(batch)

    def flush(self) -> None:
        """Everything is here already."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
