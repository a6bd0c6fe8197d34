"""Rules over one user's events: small state machines with timers, all in event time.

A machine sees the events that its rule looks at, in the order of (event time, event id), and the
timers it asked for: one at `T` comes behind the events at `T` and before any later one. So what it
finds depends on the events alone, not on when they came or how they were cut into batches.
`features.watching` runs them; times are microseconds UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, ClassVar, NamedTuple

import msgspec
import polars as pl

__all__ = [
    "FOREVER",
    "MEMORY_US",
    "MOST",
    "NEVER",
    "Anomaly",
    "Event",
    "Findings",
    "Machine",
    "Pattern",
    "Rule",
]

SECOND_US = 1_000_000
NEVER, FOREVER = -(1 << 62), 1 << 62
# Of what has no end of its own, this much is remembered of one user: a time, and a number.
MEMORY_US = 30 * 86_400 * SECOND_US
MOST = 1_000


class Event(NamedTuple):
    """What rules may look at. `bought`: products of a purchase's items, None without items;
    `rules`: a bit for each rule that looks at the event.
    """

    event_id: str
    event_at: int
    event_type: str
    product_id: str
    category: str
    amount: float
    ip: str
    bought: Sequence[str] | None
    rules: int


class Machine(msgspec.Struct, array_like=True):
    """What a rule remembers of one user. It is stored by position: a new field goes last."""

    def on(self, event: Event, found: Findings) -> None:
        """An event happens."""
        raise NotImplementedError

    def due(self) -> int:
        """When the next timer goes off."""
        return FOREVER

    def at(self, time: int, found: Findings) -> None:
        """The timers that are due at `time` go off."""

    def active_at(self) -> int:
        """When the newest detection that is still active was made."""
        return NEVER

    def forget(self, now: int, /) -> int:
        """Let go of what cannot matter to an event at `now` or later; returns the first `now` at
        which nothing is left, `FOREVER` if it is kept for good.
        """
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`when`: the events it looks at; `redundant`: among a user's sorted events those that it need
    not see, because the ones beside them say as much.
    """

    name: str
    machine: type[Machine]
    when: pl.Expr
    redundant: pl.Expr | None = None
    doc: str
    topic: ClassVar[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern(Rule):
    """What it detects is a message, and feature `pattern_detected` while it is active."""

    topic: ClassVar[str] = "retargeting"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly(Rule):
    """What it notices is an alert on the event that shows it."""

    severity: str
    unit: str
    topic: ClassVar[str] = "alerts"


class Findings:
    """What machines find, as rows; whoever runs them says whose machine and which rule it is.

    `is_changed`: since it was last set to False, a detection or a timer has come or gone.
    """

    def __init__(self) -> None:
        self.user_id = ""
        self.rule: Any = None
        self.messages: list[tuple[str, str, str, list[str], int]] = []
        self.alerts: list[tuple[str, str, str, str, str, float, float, int]] = []
        self.capped: list[str] = []
        self.is_changed = False

    def alert(self, event: Event, *, reason: str, value: float, threshold: float) -> None:
        """The event is an anomaly: `value` is beyond `threshold`."""
        rule, at = self.rule, event.event_at
        row = (self.user_id, event.event_id, rule.name, rule.severity)
        self.alerts.append((*row, reason, value, threshold, at))

    def detect(self, at: int, product_ids: list[str], *, of: str) -> None:
        """A pattern is detected; `of` tells it from any other detection of it for the user."""
        name = self.rule.name
        identity = "\x1f".join((self.user_id, name, of)).encode()
        message_id = blake2b(identity, digest_size=16).hexdigest()
        self.messages.append((self.user_id, message_id, name, product_ids, at))
        self.is_changed = True

    def clear(self) -> None:
        """A detection is no longer active."""
        self.is_changed = True

    def set_timer(self) -> None:
        """A machine has a timer that it did not have before."""
        self.is_changed = True

    def cap(self) -> None:
        """Something of the user was forgotten because there was too much of it."""
        self.capped.append(self.user_id)
