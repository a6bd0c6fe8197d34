"""Blobs that never change, decoded: on Spark's state store, and in this process once read.

Spark sends a bucket's tasks now to one Python worker and now to another. A segment gets a number
that nothing else ever had and is never written again, so one that a worker has in memory cannot be
stale: not after a retry, not after an older checkpoint is taken up. What is missing is read.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from streaming.state.store import State

__all__ = ["CACHED_BYTES", "Segments", "forget", "new_number"]

# What a worker keeps decoded; beyond, it forgets the tables that it used longest ago.
CACHED_BYTES = 1 << 30


class Sized(Protocol):
    """Something decoded that knows its size in memory."""

    def nbytes(self) -> int: ...


S = TypeVar("S", bound=Sized)


class _Cache:
    """Decoded segments with their sizes: by table and form, then by number."""

    def __init__(self) -> None:
        # The table used last stands last.
        self._tables: OrderedDict[tuple[int, Any], dict[int, tuple[Any, int]]] = OrderedDict()
        self._bytes = 0

    def take(self, table: tuple[int, Any]) -> dict[int, tuple[Any, int]]:
        """What is known of a table, which is no longer known then."""
        known = self._tables.pop(table, {})
        self._bytes -= sum(size for _, size in known.values())
        return known

    def keep(self, table: tuple[int, Any], segments: dict[int, tuple[Any, int]]) -> None:
        """Keep a table, and forget others if there is too much."""
        if segments:
            self._tables[table] = segments
            self._bytes += sum(size for _, size in segments.values())
            self.forget(CACHED_BYTES)

    def forget(self, limit: int) -> None:
        """Forget the tables used longest ago, until at most `limit` bytes are kept."""
        while self._bytes > limit:
            self.take(next(iter(self._tables)))


_cache = _Cache()


def new_number() -> int:
    """A number that nothing has: 62 random bits."""
    return secrets.randbits(62) | 1


def forget() -> None:
    """Forget everything, as a new worker."""
    _cache.forget(0)


class Segments(Generic[S]):
    """The segments of tables of one kind; `form` tells apart what is decoded differently."""

    def __init__(self, state: State, decode: Callable[[bytes], S], form: Any) -> None:
        self._state = state
        self._decode = decode
        self._form = form

    def read(self, table: int, numbers: Sequence[int]) -> list[S]:
        """All segments of a table, in the order of their numbers here."""
        known = _cache.take((table, self._form))
        here = {number: known.get(number) or self._load(number) for number in numbers}
        _cache.keep((table, self._form), here)
        return [segment for segment, _ in here.values()]

    def put(self, table: int, segment: S, blob: bytes) -> int:
        """Store a new one; returns its number."""
        number = new_number()
        self._state.put(number, blob)
        known = _cache.take((table, self._form))
        _cache.keep((table, self._form), {**known, number: (segment, segment.nbytes())})
        return number

    def drop(self, numbers: Iterable[int]) -> None:
        """Remove segments from the store."""
        for number in numbers:
            self._state.drop(number)

    def end(self, table: int, numbers: Iterable[int]) -> None:
        """Remove a table: nobody reads it again, so it need not be kept here either."""
        self.drop(numbers)
        _cache.take((table, self._form))

    def _load(self, number: int) -> tuple[S, int]:
        blob = self._state.get(number)
        if blob is None:
            raise LookupError(f"The state has no segment {number}, but its book names it.")
        segment = self._decode(blob)
        return segment, segment.nbytes()
