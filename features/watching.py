"""Patterns and anomalies: from users' events to messages, alerts and changes of the pattern shown.

Python is entered for every event here, and nowhere else in the core, so what needs no state is
decided for all events at once: which rules look at an event, and which of them need not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, NamedTuple

import msgspec
import polars as pl

from features.anomalies import LARGE_PURCHASE, LOCATION_CHANGE, RAPID_CLICKS
from features.machines import FOREVER, NEVER, Event, Findings, Machine, Pattern, Rule
from features.patterns import CART_ABANDONMENT_RISK, PRODUCT_COMPARISON

__all__ = [
    "ALERTS",
    "FLAGS",
    "MESSAGES",
    "RELEVANT",
    "RULES",
    "Folded",
    "Memory",
    "fold",
    "relevant",
]

# What is kept of a user has a place for each rule: a new one goes last, and none is taken out.
RULES: tuple[Rule, ...] = (
    RAPID_CLICKS,
    LARGE_PURCHASE,
    LOCATION_CHANGE,
    PRODUCT_COMPARISON,
    CART_ABANDONMENT_RISK,
)
# Anomalies have neither timers nor anything to show.
SHOWN = tuple((place, rule) for place, rule in enumerate(RULES) if isinstance(rule, Pattern))
LOOKING = [
    tuple((place, rule) for place, rule in enumerate(RULES) if rules >> place & 1)
    for rules in range(1 << len(RULES))
]
RELEVANT: dict[str, Any] = {
    "user_id": pl.String,
    "event_id": pl.String,
    "event_at": pl.Int64,
    "event_type": pl.String,
    "product_id": pl.String,
    "category": pl.String,
    "amount": pl.Float64,
    "ip": pl.String,
    "bought": pl.List(pl.String),
}
MESSAGES: dict[str, Any] = {
    "user_id": pl.String,
    "message_id": pl.String,
    "pattern": pl.String,
    "product_ids": pl.List(pl.String),
    "detected_at": pl.Int64,
}
ALERTS: dict[str, Any] = {
    "user_id": pl.String,
    "event_id": pl.String,
    "alert_type": pl.String,
    "severity": pl.String,
    "reason": pl.String,
    "value": pl.Float64,
    "threshold": pl.Float64,
    "event_at": pl.Int64,
}
FLAGS: dict[str, Any] = {
    "user_id": pl.String,
    "event_id": pl.String,
    "event_at": pl.Int64,
    "pattern_detected": pl.String,
}
Flag = tuple[str, str, int, str]
Machines = list[Machine | None]
Layout = msgspec.defstruct(
    "Layout", [(rule.name, rule.machine | None, None) for rule in RULES], array_like=True
)
_decoder = msgspec.msgpack.Decoder(Layout)
_encoder = msgspec.msgpack.Encoder()


class Memory(NamedTuple):
    """What is kept of a user. `due`: when its next timer goes off; `until`: the first watermark at
    which it says nothing any more, but for what is kept for good. Both may be `FOREVER`.
    """

    machines: bytes
    due: int
    until: int


class Folded(NamedTuple):
    """`memories`: of the users looked at, those of whom something is kept; `capped`: the
    user of each thing that was forgotten because there was too much of it.

    `flags` has a row for each change of the newest active pattern ("" for none); among equal times
    of a user the event ids sort in the order of the changes.
    """

    memories: dict[str, Memory]
    messages: pl.DataFrame
    alerts: pl.DataFrame
    flags: pl.DataFrame
    capped: Sequence[str]


def relevant(events: pl.DataFrame) -> pl.DataFrame:
    """The events that some rule looks at, with the columns that rules read.

    `events`: user_id, event_id, event_at (microseconds), event_type, product_id, category,
    total_amount, ip, and items (structs with a product_id). Events without a user are left out.
    """
    products = pl.col("items").list.eval(pl.element().struct.field("product_id").drop_nulls())
    has_items = (pl.col("event_type") == "purchase") & (pl.col("items").list.len() > 0)
    rows = events.with_columns(amount="total_amount", bought=pl.when(has_items).then(products))
    is_relevant = pl.any_horizontal(rule.when for rule in RULES)
    return rows.select(*RELEVANT).filter(pl.col("user_id").is_not_null() & is_relevant)


def fold(memories: Mapping[str, bytes], events: pl.DataFrame, now: int) -> Folded:
    """Let `events`, each before `now`, and all timers before `now` happen.

    `events` are `relevant`; `memories` are the machines of their users and of those who are due.
    What happened before has to have been folded before.
    """
    follower = _Follower(now)
    busy = set(events["user_id"].unique().to_list())
    quiet: list[tuple[str, Iterable[Event]]] = [(name, ()) for name in memories if name not in busy]
    kept: dict[str, Memory] = {}
    for user_id, mine in chain(_by_user(events), quiet):
        memory = follower.follow(user_id, memories.get(user_id), mine)
        if memory is not None:
            kept[user_id] = memory
    found = follower.found
    return Folded(
        kept,
        pl.DataFrame(found.messages, MESSAGES, orient="row"),
        pl.DataFrame(found.alerts, ALERTS, orient="row"),
        pl.DataFrame(follower.flags, FLAGS, orient="row"),
        found.capped,
    )


def _by_user(events: pl.DataFrame) -> Iterator[tuple[str, Iterable[Event]]]:
    """The users' events in order, each with a bit for each rule that has to see it."""
    ordered = events.sort("user_id", "event_at", "event_id")
    ordered = ordered.with_columns(rules=SEEN_BY).filter(pl.col("rules") > 0)
    columns = [ordered[name].to_list() for name in Event._fields]
    rows = map(Event._make, zip(*columns, strict=True))
    runs = ordered["user_id"].rle().struct.unnest()
    for user_id, length in zip(runs["value"].to_list(), runs["len"].to_list(), strict=True):
        yield user_id, islice(rows, length)


def _sees(rule: Rule) -> pl.Expr:
    skips = pl.lit(False) if rule.redundant is None else rule.redundant.fill_null(False)
    return (rule.when & ~skips).fill_null(False)


SEEN_BY = pl.sum_horizontal(
    _sees(rule).cast(pl.Int32) * (1 << place) for place, rule in enumerate(RULES)
)


class _Follower:
    """Takes one user after the other up to `now`."""

    def __init__(self, now: int) -> None:
        self.found = Findings()
        self.flags: list[Flag] = []
        self._now = now
        self._shown = ""
        self._changed: tuple[int, int] = (NEVER, 0)

    def follow(self, user_id: str, stored: bytes | None, events: Iterable[Event]) -> Memory | None:
        """Events and timers in the order of their times; returns what is kept of the user."""
        machines: Machines = [None] * len(RULES)
        if stored is not None:
            machines = list(msgspec.structs.astuple(_decoder.decode(stored)))
        self.found.user_id = user_id
        self._shown, self._changed = _newest(machines), (NEVER, 0)
        due = self._happen(machines, events)
        if due < self._now:
            due = self._pass(machines, due, self._now)
        return self._rest(machines, due)

    def _happen(self, machines: Machines, events: Iterable[Event]) -> int:
        """The events and the timers before them; returns when the next timer goes off."""
        found, due = self.found, _due(machines)
        for event in events:
            if due < event.event_at:
                due = self._pass(machines, due, event.event_at)
            for place, rule in LOOKING[event.rules]:
                machine = machines[place]
                if machine is None:
                    machine = machines[place] = rule.machine()
                found.rule = rule
                machine.on(event, found)
            if found.is_changed:
                due = _due(machines)
                self._show(machines, event.event_at)
        return due

    def _pass(self, machines: Machines, due: int, time: int) -> int:
        """Let the timers before `time` go off; returns when the next one does."""
        while due < time:
            for place, rule in SHOWN:
                machine = machines[place]
                if machine is not None:
                    self.found.rule = rule
                    machine.at(due, self.found)
            self._show(machines, due)
            due = _due(machines)
        return due

    def _show(self, machines: Machines, at: int) -> None:
        self.found.is_changed = False
        newest = _newest(machines)
        if newest == self._shown:
            return
        number = self._changed[1] + 1 if self._changed[0] == at else 0
        self._shown, self._changed = newest, (at, number)
        user_id = self.found.user_id
        self.flags.append((user_id, f"{user_id}\x1f{at}\x1f{number:06}", at, newest))

    def _rest(self, machines: Machines, due: int) -> Memory | None:
        now, until, is_kept = self._now, NEVER, False
        for place, machine in enumerate(machines):
            if machine is None:
                continue
            last = machine.forget(now)
            if last <= now:
                machines[place] = None
                continue
            is_kept = True
            if last != FOREVER:
                until = max(until, last)
        if not is_kept:
            return None
        return Memory(_encoder.encode(machines), due, FOREVER if until == NEVER else until)


def _due(machines: Machines) -> int:
    due = FOREVER
    for place, _ in SHOWN:
        machine = machines[place]
        if machine is not None and (at := machine.due()) < due:
            due = at
    return due


def _newest(machines: Machines) -> str:
    """The pattern detected last. Of equal times the later rule: timers come behind events."""
    newest, name = NEVER, ""
    for place, rule in SHOWN:
        machine = machines[place]
        if machine is not None and (at := machine.active_at()) > NEVER and at >= newest:
            newest, name = at, rule.name
    return name
