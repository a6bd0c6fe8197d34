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

from streaming.state import State

__all__ = ["CACHED_BYTES", "Segments", "forget", "new_number"]

# What a worker keeps decoded; beyond, it forgets the tables that it used longest ago.
CACHED_BYTES = 1 << 30


class Sized(Protocol):
    """Something decoded that knows its size in memory."""

    def nbytes(self) -> int: ...


S = TypeVar("S", bound=Sized)
# By table and form, then by number: the segment and its size. The table used last stands last.
_cached: OrderedDict[tuple[int, Any], dict[int, tuple[Any, int]]] = OrderedDict()


def new_number() -> int:
    """A number that nothing has: 62 random bits."""
    return secrets.randbits(62) | 1


def forget(limit: int = 0) -> None:
    """Forget the tables used longest ago, until at most `limit` bytes are kept."""
    total = sum(size for table in _cached.values() for _, size in table.values())
    while total > limit:
        _, table = _cached.popitem(last=False)
        total -= sum(size for _, size in table.values())


class Segments(Generic[S]):
    """The segments of tables of one kind; `form` tells apart what is decoded differently."""

    def __init__(self, state: State, decode: Callable[[bytes], S], form: Any) -> None:
        self._state = state
        self._decode = decode
        self._form = form

    def read(self, table: int, numbers: Sequence[int]) -> list[S]:
        """All segments of a table, in the order of their numbers here."""
        known = _cached.pop((table, self._form), {})
        here = {number: known.get(number) or self._load(number) for number in numbers}
        _cached[table, self._form] = here
        if here.keys() - known.keys():
            forget(CACHED_BYTES)
        return [segment for segment, _ in here.values()]

    def put(self, table: int, segment: S, blob: bytes) -> int:
        """Store a new one; returns its number."""
        number = new_number()
        self._state.put(number, blob)
        _cached.setdefault((table, self._form), {})[number] = segment, segment.nbytes()
        forget(CACHED_BYTES)
        return number

    def drop(self, table: int, numbers: Iterable[int]) -> None:
        """Remove segments."""
        known = _cached.get((table, self._form), {})
        for number in numbers:
            self._state.drop(number)
            known.pop(number, None)

    def _load(self, number: int) -> tuple[S, int]:
        blob = self._state.get(number)
        if blob is None:
            raise LookupError(f"The state has no segment {number}, but its book names it.")
        segment = self._decode(blob)
        return segment, segment.nbytes()
