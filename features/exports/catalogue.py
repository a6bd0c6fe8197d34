"""Markdown: the feature views as a page to read, a family of windows in one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from features.batch_views import BatchView
from features.catalogue import AnyView
from features.columns import Column
from features.views import FeatureView
from features.watching import RULES
from features.windows import Grid, Latest, Rate, Score

__all__ = ["Family", "families", "to_catalogue"]

HEAD = """# Features

What the streams keep of every entity, and what is computed once a day. Generated from the
declarations (`features/views.py`, `features/marts.py`, `features/daily_tables.py`) by
`userflow features docs`; a test compares. A feature with windows is one column for each of them:
`view_count` over `5m` is `view_count_5m`. A count or a sum of nothing is 0; an average, a ratio, an
extreme or a "most" of nothing is null.
"""
BATCH = """# Batch views

Built once a day, or once an hour, from the events that were loaded, and published as a whole by
`userflow publish`: a reader gets the old rows or the new ones. Every row says in `as_of_date` the
last day that is looked at. In Redis a view is one hash, whose fields are the entities (parts of a
composite id joined with `|`) and whose values are JSON without what is null; `batch_version:VIEW`
says of which publication it is. Both live two days after it.
"""


@dataclass(frozen=True, slots=True)
class Family:
    """One feature, or the same one over several windows."""

    name: str
    column: Column
    windows: tuple[str, ...]
    doc: str


def families(view: AnyView) -> tuple[Family, ...]:
    """The features of a view, as they were declared."""
    if isinstance(view, BatchView) or view.windows is None:
        return tuple(Family(column.name, column, (), column.doc) for column in view.features)
    declared: list[Grid | Rate] = [*view.windows.grids, *view.windows.rates]
    over = [
        Family(one.name, one.columns[0], tuple(window.name for window in one.windows), one.doc)
        for one in declared
    ]
    single: list[Score | Latest] = [*view.windows.scores, *view.windows.latest]
    columns = [one.column for one in single] + [*(view.board.columns if view.board else ())]
    return (*over, *(Family(column.name, column, (), column.doc) for column in columns))


def to_catalogue(views: Iterable[AnyView]) -> str:
    """The whole page: all views, one section each, those of the streams first."""
    chosen = tuple(views)
    streams = [view for view in chosen if isinstance(view, FeatureView)]
    batch = [view for view in chosen if isinstance(view, BatchView)]
    total = f"{_count(streams)} of streams, {_count(batch)} of the day.\n"
    sections = ("\n".join(_section(view)) for view in streams)
    of_day = ("\n".join(_batch_section(view)) for view in batch)
    return "\n".join((HEAD, total, *sections, "\n".join(_rules()), BATCH, *of_day))


def _count(views: Sequence[AnyView]) -> str:
    return f"{sum(len(view.features) for view in views)} features in {len(views)} views"


def _rules() -> Iterator[str]:
    yield "## Rules\n"
    yield "What is looked for in the ordered events of a shopper, decided when the watermark has"
    yield "passed them. A finding is a message, told once; alerts also stand in `ops.alerts`.\n"
    yield "| rule | topic | meaning |\n|---|---|---|"
    for rule in RULES:
        yield f"| `{rule.name}` | `{rule.topic}` | {rule.doc} |"
    yield ""


def _section(view: FeatureView) -> Iterator[str]:
    yield f"## {view.name}\n"
    count = len(view.features)
    yield f"{view.doc} {count} features; version {view.version}; owner: {view.owner}.\n"
    yield f"Of topic `{view.topic}`, for each {_names(view.key)}. Online: `online.{view.name}`;"
    if view.redis_key:
        keys = _names((view.redis_key, *view.redis_lists.values()))
        yield f"Redis {keys} for {view.ttl_seconds // 3600} h;"
    yield f"log: `features/{view.name}`.\n"
    if view.messages:
        columns = _names(view.messages.columns)
        yield f"Each change of a row is a message on topic `{view.messages.topic}`: {columns}.\n"
    yield "| feature | type | unit | windows | meaning |\n|---|---|---|---|---|"
    yield from map(_row, families(view))
    yield ""


def _batch_section(view: BatchView) -> Iterator[str]:
    yield f"## {view.name}\n"
    yield f"{view.mart.doc} {len(view.features)} features; owner: {view.mart.owner}.\n"
    made = {"dbt": f"dbt's `marts.{view.mart.name}`", "spark": f"Spark's `batch/{view.mart.name}`"}
    yield f"From {made[view.made_by]}, for each {_names(view.key)}. Online: `online.{view.name}`;"
    yield f"Redis hash `{view.redis_key}`, field `{'|'.join(view.key)}`.\n"
    yield "| feature | type | unit | meaning |\n|---|---|---|---|"
    yield from map(_batch_row, view.features)
    yield ""


def _batch_row(column: Column) -> str:
    unit, inside = column.unit or "", _names(item.name for item in column.items)
    doc = f"{column.doc} Each: {inside}." if inside else column.doc
    return f"| `{column.name}` | {column.type.value} | {unit} | {doc} |"


def _row(family: Family) -> str:
    personal = " Personal." if family.column.pii else ""
    cells = (
        f"`{family.name}`",
        family.column.type.value,
        family.column.unit or "",
        " ".join(family.windows),
        family.doc + personal,
    )
    return f"| {' | '.join(cells)} |"


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
