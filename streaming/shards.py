"""A map with very many small values, kept several to a shard on Spark's state store.

A call to the store costs as much as dozens of entries in a value, so one value for each entry
would be slow where many are touched, and one for all where few are. Shards of about `ENTRIES`
entries are between: their number grows one by one with the entries (linear hashing: with `n`
shards, the next one takes its entries from shard `n - p`, `p` being the largest power of two up to
`n`), so that no moment pays for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar
from zlib import crc32

import msgspec

from streaming.one_map import Part

__all__ = ["ENTRIES", "Shards", "shard_of", "sources_of_split"]

ENTRIES = 8
Value = TypeVar("Value")


class Shards(Generic[Value]):
    """The entries in `state` for the length of one epoch; `count` shards of them (at least 1)."""

    def __init__(self, state: Part, count: int, type_: type[Value]) -> None:
        self.count = count
        self._state = state
        self._decode = msgspec.msgpack.Decoder(dict[str, type_]).decode  # type: ignore[valid-type]
        self._loaded: dict[int, dict[str, Value]] = {}
        self._changed: set[int] = set()

    def read(self, names: Iterable[str]) -> dict[str, Value]:
        """The entries of those names that have one."""
        found = ((name, self._shard(shard_of(name, self.count)).get(name)) for name in names)
        return {name: value for name, value in found if value is not None}

    def write(self, entries: Mapping[str, Value], gone: Iterable[str], size: int) -> None:
        """Put `entries`, drop `gone`, and store the shards that changed; `size` are there then."""
        for name, value in entries.items():
            self._touch(shard_of(name, self.count))[name] = value
        for name in gone:
            self._touch(shard_of(name, self.count)).pop(name, None)
        while self.count * ENTRIES < size:
            self._split()
        for number in sorted(self._changed):
            if entries_of := self._loaded[number]:
                self._state.put(msgspec.msgpack.encode(entries_of), number)
            else:
                self._state.drop(number)
        self._changed.clear()

    def _split(self) -> None:
        new = self.count
        source = self._touch(new - _power(new))
        self.count += 1
        moved = {name: one for name, one in source.items() if shard_of(name, self.count) == new}
        for name in moved:
            del source[name]
        self._loaded[new] = moved
        self._changed.add(new)

    def _touch(self, number: int) -> dict[str, Value]:
        self._changed.add(number)
        return self._shard(number)

    def _shard(self, number: int) -> dict[str, Value]:
        if number not in self._loaded:
            stored = self._state.get(number)
            self._loaded[number] = {} if stored is None else self._decode(stored)
        return self._loaded[number]


def shard_of(name: str, count: int) -> int:
    """Which of `count` shards holds `name`."""
    # The low bits are the same for a whole bucket of keys.
    hashed = crc32(name.encode()) >> 8
    power = _power(count)
    number = hashed % (2 * power)
    return number if number < count else number - power


def sources_of_split(count: int, wanted: int) -> set[int]:
    """Which of `count` shards give entries away when they become `wanted`."""
    sources = set()
    for new in range(count, wanted):
        source = new
        while source >= count:
            source -= _power(source)
        sources.add(source)
    return sources


def _power(count: int) -> int:
    return 1 << (count.bit_length() - 1)
