"""How much a key may ask for: a bucket of tokens for each, filled again all the time."""

from __future__ import annotations

import time
from collections.abc import Callable

from serving.errors import TooMany

__all__ = ["Rates"]

# Keys are few; but who makes thousands of them gets no more memory than this.
MOST_BUCKETS = 10_000


class Rates:
    """`per_s` requests a second for each key of this process, and up to a second's worth at once;
    no limit when 0.
    """

    def __init__(self, per_s: float = 0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._most = max(1.0, per_s)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key_id: str) -> None:
        """Use one token; raises `TooMany` where none is left."""
        if not self._per_s:
            return
        now = self._clock()
        left, at = self._buckets.get(key_id, (self._most, now))
        left = min(self._most, left + (now - at) * self._per_s)
        if left < 1:
            self._buckets[key_id] = (left, now)
            raise TooMany(
                f"This key may send {self._per_s:g} requests a second.",
                retry_after_s=(1 - left) / self._per_s,
            )
        if len(self._buckets) >= MOST_BUCKETS:
            self._buckets.clear()
        self._buckets[key_id] = (left - 1, now)
