"""Which features are meant: `view:feature`, `view.feature`, or a feature's name alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from features.columns import Column
from features.errors import UnknownName
from features.marts import PUBLISHED
from features.views import VIEWS, FeatureView, view_named
from serving.training.errors import BadFeatures

__all__ = ["Wanted", "resolve"]

ALL = "*"
# What the log knows of a row besides its features.
OF_ROW = ("event_at", "available_at", "feature_version")


@dataclass(frozen=True, slots=True)
class Wanted:
    """`name`: what the column is called in the result."""

    view: str
    column: Column
    name: str


def resolve(asked: str | Iterable[str], beside: Collection[str]) -> list[Wanted]:
    """The features in the order in which they are asked for; `beside`: the columns of the labels.

    A feature gives its column its name. Where that is taken, by another view's or by a label's, it
    is `view__feature`. Raises `UnknownName` and `BadFeatures`.
    """
    names = asked.split(",") if isinstance(asked, str) else list(asked)
    found = [wanted for name in names if name.strip() for wanted in _meant(name.strip(), beside)]
    if not found:
        raise BadFeatures("No feature is asked for.")
    wanted = list(dict.fromkeys(found))
    taken = Counter([*beside, *(one.name for one in wanted)])
    full = [replace(one, name=_full(one)) if taken[one.name] > 1 else one for one in wanted]
    for one in full:
        if one.name in beside:
            raise BadFeatures(f"The labels have a column {one.name} already: rename it.")
    return full


def _full(one: Wanted) -> str:
    return f"{one.view}__{one.column.name}"


def _meant(name: str, beside: Collection[str]) -> list[Wanted]:
    view, *feature = re.split(r"[:.]", name, maxsplit=1)
    if feature:
        return _of_view(_with_log(view), feature[0])
    return [_alone(name, beside)]


def _with_log(name: str) -> FeatureView:
    if name in PUBLISHED:
        raise BadFeatures(
            f"{name} is a batch view and keeps no log: only its newest rows are known, not what "
            "they were at the moment of a label."
        )
    return view_named(name)


def _of_view(view: FeatureView, feature: str) -> list[Wanted]:
    if feature == ALL:
        return [Wanted(view.name, column, column.name) for column in view.features]
    columns = {column.name: column for column in view.log_columns if column.name in OF_ROW}
    columns |= {column.name: column for column in view.features}
    if feature not in columns:
        raise UnknownName(f"feature of {view.name}", feature, columns)
    return [Wanted(view.name, columns[feature], feature)]


def _alone(name: str, beside: Collection[str]) -> Wanted:
    """Of the view that has it; of several the one whose entity the labels have."""
    having = [view for view in VIEWS.values() if name in {c.name for c in view.features}]
    if not having:
        raise UnknownName("feature", name, {c.name for v in VIEWS.values() for c in v.features})
    joined = [view for view in having if set(view.key) <= set(beside)]
    if len(having) > 1 and len(joined) != 1:
        meant = ", ".join(f"{view.name}:{name}" for view in joined or having)
        raise BadFeatures(f"{name!r} means several features: {meant}. Say which.")
    return _of_view((joined if len(having) > 1 else having)[0], name)[0]
