"""Whether a source may be trusted: a circuit breaker over what broke its contract lately.

A source is a topic. What is read of it is counted in slots of five seconds, as tiles are: a slot
belongs to the last minute while it starts less than a minute ago. A source is degraded when more
than a share of that minute's events broke the contract, of enough events to tell. It is fine again
after a whole minute at or below the share, or at once when enough events are at or below half of
it. So a source that stays near the limit changes once a minute at most, a silent one recovers, and
a process that starts again beside a degraded source must have seen something before it says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from features.validation import REASON_CODES

__all__ = [
    "BREACHES",
    "FINE",
    "MINUTE_US",
    "LastMinute",
    "Limits",
    "Minute",
    "SourceHealth",
    "State",
    "judge",
]

MINUTE_US, SLOT_US = 60_000_000, 5_000_000
# A late event is a good one that came too late.
BREACHES = frozenset(REASON_CODES) - {"late"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`share`: how much of a minute may break the contract, 0 to 1 (1 allows all of it).
    `least`: of fewer events nothing is concluded.
    """

    share: float = 0.2
    least: int = 100


@dataclass(frozen=True, slots=True)
class Minute:
    """`seen`: all events that were read, copies and late ones too. `broken`: by reason code."""

    seen: int
    broken: Mapping[str, int]

    @property
    def share(self) -> float:
        """The part that broke the contract, 0 to 1."""
        return sum(self.broken.values()) / self.seen if self.seen else 0.0

    @property
    def reason(self) -> str | None:
        """The most frequent reason code; of equals the smaller name."""
        return min(self.broken, key=lambda code: (-self.broken[code], code), default=None)


class LastMinute:
    """Counts of one source. Times are in microseconds and may come in any order."""

    def __init__(self) -> None:
        self._seen: Counter[int] = Counter()
        self._broken: dict[int, Counter[str]] = {}

    def add(self, at_us: int, seen: int, broken: Mapping[str, int]) -> None:
        """Events were read at that time."""
        slot = at_us - at_us % SLOT_US
        self._seen[slot] += seen
        self._broken.setdefault(slot, Counter()).update(broken)

    def until(self, now_us: int) -> Minute:
        """The minute that ends now; what is older is forgotten."""
        for slot in [slot for slot in self._seen if slot <= now_us - MINUTE_US]:
            del self._seen[slot], self._broken[slot]
        # The clock may have been set back.
        inside = [slot for slot in self._seen if slot <= now_us]
        broken = sum((self._broken[slot] for slot in inside), Counter[str]())
        return Minute(sum(self._seen[slot] for slot in inside), broken)


@dataclass(frozen=True, slots=True)
class State:
    """`degraded_since_us`: None while the source is fine. `calm_since_us`: how long a degraded one
    has been at or below the limit; None while it is above.
    """

    degraded_since_us: int | None = None
    calm_since_us: int | None = None


FINE = State()


def judge(state: State, minute: Minute, *, now_us: int, limits: Limits) -> State:
    """The state that follows from the minute which ends now."""
    is_over, is_enough = minute.share > limits.share, minute.seen >= limits.least
    if state.degraded_since_us is None:
        return State(degraded_since_us=now_us) if is_over and is_enough else state
    if is_over:
        return replace(state, calm_since_us=None)
    if is_enough and minute.share <= limits.share / 2:
        return FINE
    if state.calm_since_us is None:
        return replace(state, calm_since_us=now_us)
    return FINE if now_us - state.calm_since_us >= MINUTE_US else state


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceHealth:
    """What is kept and told of a source: its state, since when, and the minute that decided it."""

    topic: str
    is_degraded: bool
    since_us: int
    seen: int
    share: float
    reason: str | None
