"""Checks of single events against their contract, and of their ids.

What was read from files is decoded by the contract, so what breaks it stands among the rejects.
What comes from a table may have been accepted by an older contract: it is checked by today's.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from expectations.checks.day import Day, Found, found
from features.contract import Field

__all__ = ["duplicate_event_id", "required_fields", "timestamps", "value_ranges"]

FIRST_YEAR = 2000
NO_REASON = pl.lit(None, pl.String)


def required_fields(day: Day) -> Found:
    """Every field is there that the contract requires for the type of the event."""
    # Whether a requirement was waived cannot be seen in the decoded event.
    fields = [f for f in day.contract.stored_fields if not f.waived_by]
    missing = [
        pl.when(_is_required(f) & pl.col(f.name).is_null()).then(pl.lit(f"missing: {f.name}"))
        for f in fields
        if f.required or f.required_for
    ]
    return found(day.events, pl.coalesce(*missing, NO_REASON))


def _is_required(field: Field) -> pl.Expr:
    if field.required:
        return pl.lit(True)
    return pl.col("event_type").is_in(field.required_for).fill_null(False)


def duplicate_event_id(day: Day) -> Found:
    """An event id stands once in a topic; the first event that was read keeps it."""
    is_copy = ~pl.col("event_id").is_first_distinct()
    return found(day.events, pl.when(is_copy).then(pl.lit("this id was read before")))


def value_ranges(day: Day) -> Found:
    """Numbers lie in their range, names among those that are allowed."""
    wrong = [
        pl.when(is_wrong).then(pl.lit(f"out of range: {field.name}"))
        for field in day.contract.stored_fields
        for is_wrong in _violations(field)
    ]
    return found(day.events, pl.coalesce(*wrong, NO_REASON))


def _violations(field: Field) -> Iterator[pl.Expr]:
    """What may be wrong with the field; null is never wrong."""
    column = pl.col(field.name)
    for item in field.items:
        inside = pl.element().struct.field(item.name)
        for rule in _rules(item, inside):
            yield column.list.eval(rule.fill_null(False)).list.any()
    yield from _rules(field, column)


def _rules(field: Field, column: pl.Expr) -> Iterator[pl.Expr]:
    if field.allowed:
        yield ~column.is_in(field.allowed)
    if field.pattern:
        yield ~column.str.contains(f"^(?:{field.pattern})$")
    if field.minimum is not None:
        yield column < field.minimum
    if field.maximum is not None:
        yield column > field.maximum


def timestamps(day: Day) -> Found:
    """Times are ISO-8601 (or epochs), from 2000 up to the year after the day."""
    years = pl.col("event_at").dt.year().is_between(FIRST_YEAR, day.run_date.year + 1)
    expected = f"the year is not within {FIRST_YEAR} to {day.run_date.year + 1}"
    return found(day.events, pl.when(~years).then(pl.lit(expected)))
