"""A windowed view on Spark's state store: an epoch reads and writes the keys it touches.

Entities lie in small shards, so the cost of an epoch follows the entities that events touch or that
are due, not those alive. When an entity is due stands in an agenda: slots of event time,
each with the entities to look at once the watermark has passed it. An entity stands in one slot,
perhaps earlier than it needs: then it is looked at and moved on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import polars as pl

from features.window_set import PLACE, VALUES, Tiles, WindowSet
from features.windowed_step import DUE, WindowedState, step
from streaming.one_map import OneMap, names_of, to_names
from streaming.row_groups import GROUP, RowGroups
from streaming.shards import Shards

__all__ = ["SLOT_US", "WindowedKeeper"]

SLOT_US = 30 * 1_000_000
NAME = "entity"


class Book(msgspec.Struct):
    """What a bucket knows of a view: the slots with somebody in them, how many entities live, and
    the columns of every form in which numbers were ever written.
    """

    slots: list[int] = []
    live: int = 0
    shards: int = 1
    forms: list[list[str]] = []


class Kept(msgspec.Struct, array_like=True):
    """What is kept of an entity: when its last event was, when its row changes by itself, where it
    stands in the agenda, and its tiles.
    """

    last_at: int
    due: int
    slot: int
    form: int
    numbers: bytes
    values: bytes


class WindowedKeeper:
    """The entities of one view in one bucket."""

    def __init__(self, name: str, windows: WindowSet, state: OneMap) -> None:
        self._windows = windows
        self._book = state.cell(f"{name}_book")
        self._agenda = state.part(f"{name}_agenda")
        self._entities = state.part(f"{name}_entities")
        self._by_name = pl.concat_str(windows.entity, separator=SEPARATOR)
        self._values = RowGroups(VALUES)

    def step(self, events: pl.DataFrame, now: int, *, is_exact: bool) -> Stepped:
        """Merge the events' rows and let the watermark `now` pass.

        What time alone changes is put out slot by slot, or, `is_exact`, to the microsecond.
        """
        stored = self._book.get()
        book = Book() if stored is None else msgspec.msgpack.decode(stored, type=Book)
        passed = [slot for slot in book.slots if _is_due(slot, now, is_exact=is_exact)]
        if events.is_empty() and not passed:
            return Stepped(pl.DataFrame(), _next_due(book, is_exact=is_exact), book.live)
        due = [name for slot in passed for name in self._turn(book, slot)]
        touched = events.select(self._by_name).drop_nulls().unique().to_series().to_list()
        shards = Shards(self._entities, book.shards, Kept)
        known = shards.read(dict.fromkeys([*due, *touched]))
        done = step(self._windows, self._state(book, known), events, now)
        kept = self._kept(book, known, done.state, set(passed))
        book.live += len(kept) - len(known)
        shards.write(kept, known.keys() - kept.keys(), book.live)
        book.shards = shards.count
        self._book.put(msgspec.msgpack.encode(book))
        return Stepped(done.rows, _next_due(book, is_exact=is_exact), book.live)

    def _turn(self, book: Book, slot: int) -> Sequence[str]:
        """Take a slot out of the agenda."""
        book.slots.remove(slot)
        found = self._agenda.get(slot)
        self._agenda.drop(slot)
        return [] if found is None else names_of(found)

    def _state(self, book: Book, known: Mapping[str, Kept]) -> WindowedState:
        names = pl.Series(NAME, list(known), dtype=pl.String)
        kept = list(known.values())
        values = self._values.to_frame([one.values for one in kept])
        times = pl.DataFrame(
            {"last_at": [one.last_at for one in kept], DUE: [one.due for one in kept]},
            schema={"last_at": pl.Int64, DUE: pl.Int64},
        )
        return WindowedState(
            Tiles(self._numbers(book, names, kept), self._named(values, names)),
            pl.concat([self._columns(names), times], how="horizontal"),
        )

    def _numbers(self, book: Book, names: pl.Series, kept: Sequence[Kept]) -> pl.DataFrame:
        """Numbers written in an older form lack what has been declared since: it starts empty."""
        frames = [self._named(RowGroups(self._form()).to_frame([]), names)]
        for number, columns in enumerate(book.forms):
            groups = [group for group, one in enumerate(kept) if one.form == number]
            if groups:
                form = RowGroups(_schema(columns))
                frame = form.to_frame([kept[group].numbers for group in groups])
                frames.append(self._named(frame, names.gather(groups)))
        wanted = frames[0].columns
        return pl.concat(frames, how="diagonal").select(wanted)

    def _kept(
        self, book: Book, known: Mapping[str, Kept], state: WindowedState, passed: set[int]
    ) -> dict[str, Kept]:
        """The entities as they will be stored, each put into the agenda if it has to be."""
        entities = state.entities.with_row_index(GROUP).with_columns(self._by_name.alias(NAME))
        names, count = entities[NAME].to_list(), entities.height
        numbers = RowGroups(self._form()).to_values(
            self._grouped(state.tiles.numbers, entities), count
        )
        values = self._values.to_values(self._grouped(state.tiles.values, entities), count)
        form = self._form_number(book)
        kept: dict[str, Kept] = {}
        waiting: dict[int, list[str]] = {}
        times = zip(entities["last_at"].to_list(), entities[DUE].to_list(), strict=True)
        for name, (last_at, due), *parts in zip(names, times, numbers, values, strict=True):
            slot = due // SLOT_US
            before = known.get(name)
            if before is not None and before.slot <= slot and before.slot not in passed:
                slot = before.slot
            else:
                waiting.setdefault(slot, []).append(name)
            kept[name] = Kept(last_at, due, slot, form, *parts)
        for slot, new in waiting.items():
            found = self._agenda.get(slot)
            self._agenda.put(to_names([*(names_of(found) if found else ()), *new]), slot)
        book.slots = sorted({*book.slots, *waiting})
        return kept

    def _form(self) -> dict[str, type[pl.DataType]]:
        return _schema(self._windows.partials)

    def _form_number(self, book: Book) -> int:
        columns = list(self._windows.partials)
        if columns not in book.forms:
            book.forms.append(columns)
        return book.forms.index(columns)

    def _named(self, frame: pl.DataFrame, names: pl.Series) -> pl.DataFrame:
        """The entity's columns in place of the group's number."""
        entity = self._columns(names.gather(frame[GROUP]))
        return pl.concat([entity, frame.drop(GROUP)], how="horizontal")

    def _columns(self, names: pl.Series) -> pl.DataFrame:
        entity = self._windows.entity
        parts = names.str.split_exact(SEPARATOR, len(entity) - 1).struct.rename_fields(entity)
        return parts.struct.unnest()

    def _grouped(self, tiles: pl.DataFrame, entities: pl.DataFrame) -> pl.DataFrame:
        entity = self._windows.entity
        groups = entities.select(*entity, pl.col(GROUP).cast(pl.Int64))
        return tiles.join(groups, on=entity).drop(entity)


class Stepped(NamedTuple):
    """`rows`: changed rows; `next_due`: the largest watermark at which still nothing is due."""

    rows: pl.DataFrame
    next_due: int | None
    live: int


# No id may contain it.
SEPARATOR = "\x1f"


def _schema(partials: Iterable[str]) -> dict[str, type[pl.DataType]]:
    """Counts are whole, everything else is not."""
    kinds = {name: pl.Int64 if name.startswith("count(") else pl.Float64 for name in partials}
    return {**dict.fromkeys(PLACE, pl.Int64), **kinds}


def _is_due(slot: int, now: int, *, is_exact: bool) -> bool:
    return (slot if is_exact else slot + 1) * SLOT_US <= now


def _next_due(book: Book, *, is_exact: bool) -> int | None:
    first = min(book.slots, default=None)
    return None if first is None else (first if is_exact else first + 1) * SLOT_US - 1
