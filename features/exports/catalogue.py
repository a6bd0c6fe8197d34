"""Markdown: the feature views as a page to read, a family of windows in one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from features.columns import Column
from features.views import FeatureView
from features.watching import RULES
from features.windows import Grid, Latest, Rate, Score

__all__ = ["Family", "families", "to_catalogue"]

HEAD = """# Features

What the streams keep of every entity. Generated from `features/views.py` by
`userflow features docs`; a test compares. A feature with windows is one column for each of them:
`view_count` over `5m` is `view_count_5m`. A count or a sum of nothing is 0; an average, a ratio, an
extreme or a "most" of nothing is null.
"""


@dataclass(frozen=True, slots=True)
class Family:
    """One feature, or the same one over several windows."""

    name: str
    column: Column
    windows: tuple[str, ...]
    doc: str


def families(view: FeatureView) -> tuple[Family, ...]:
    """The features of a view, as they were declared."""
    if view.windows is None:
        return tuple(Family(column.name, column, (), column.doc) for column in view.features)
    declared: list[Grid | Rate] = [*view.windows.grids, *view.windows.rates]
    over = [
        Family(one.name, one.columns[0], tuple(window.name for window in one.windows), one.doc)
        for one in declared
    ]
    single: list[Score | Latest] = [*view.windows.scores, *view.windows.latest]
    columns = [one.column for one in single] + [*(view.board.columns if view.board else ())]
    return (*over, *(Family(column.name, column, (), column.doc) for column in columns))


def to_catalogue(views: Iterable[FeatureView]) -> str:
    """The whole page: all views, one section each."""
    chosen = tuple(views)
    count = sum(len(view.features) for view in chosen)
    total = f"{count} features in {len(chosen)} views.\n"
    sections = ("\n".join(_section(view)) for view in chosen)
    return "\n".join((HEAD, total, *sections, "\n".join(_rules())))


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
