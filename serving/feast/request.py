"""What a client of Feast's asks for, in our names: which features of which views, of which ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from features.columns import Column
from serving.errors import BadRequest, NotFound, Unprocessable
from serving.online.served import SERVED, ServedView

__all__ = ["Asked", "NotInFeast", "Value", "Wanted", "asked_views", "entity_count", "ids_of"]

Value = str | int | float | None
LONG_BITS = 63


class Wanted(msgspec.Struct):
    """What comes over the wire."""

    entities: dict[str, list[Value]]
    features: tuple[str, ...] = ()
    feature_service: str | None = None
    full_feature_names: bool = False
    include_feature_view_version_metadata: bool = False


class NotInFeast(NotFound):
    """A name that is unknown, which Feast's client raises again as the error of that class."""

    def __init__(self, error: NotFound, kind: str) -> None:
        super().__init__(str(error), **error.details)
        self.feast_class = kind


@dataclass(frozen=True, slots=True)
class Asked:
    """Features of one view, in the order of the request."""

    view: ServedView
    features: tuple[str, ...]


@lru_cache(maxsize=256)
def asked_views(
    features: tuple[str, ...], service: str | None, *, full_names: bool
) -> tuple[Asked, ...]:
    """The views of a request, in the order in which it names them.

    Raises `NotInFeast` for what is not declared, `BadRequest` where two features of the answer
    would have one name.
    """
    if service:
        view = _view(service, "feature service", "FeatureServiceNotFoundException")
        return (Asked(view, tuple(column.name for column in view.features)),)
    if not features:
        raise BadRequest("Say `features` or `feature_service`.", field="features")
    names: dict[str, list[str]] = {}
    for reference in features:
        view_name, separator, feature = reference.partition(":")
        if not separator:
            message = f"A feature has the form view:feature, but {reference[:200]!r} came."
            raise Unprocessable(message, field="features")
        names.setdefault(view_name, []).append(feature)
    _check_collisions(names, full_names=full_names)
    return tuple(_asked(name, wanted) for name, wanted in names.items())


def _check_collisions(names: Mapping[str, Sequence[str]], *, full_names: bool) -> None:
    answered = [
        f"{view}__{feature}" if full_names else feature
        for view, wanted in names.items()
        for feature in wanted
    ]
    twice = [name for name, times in Counter(answered).items() if times > 1]
    if twice:
        how = "ask for each once" if full_names else "ask for each once, or for full_feature_names"
        message = f"{twice[0][:200]} would be in the answer more than once: {how}."
        raise BadRequest(message, field="features")


def _asked(name: str, wanted: Sequence[str]) -> Asked:
    view = _view(name, "feature view", "FeatureViewNotFoundException")
    try:
        view.columns(wanted)
    except NotFound as error:
        raise NotInFeast(error, "FeatureViewNotFoundException") from None
    return Asked(view, tuple(wanted))


def _view(name: str, kind: str, feast_class: str) -> ServedView:
    if name in SERVED:
        return SERVED[name]
    raise NotInFeast(NotFound.named(kind, name, SERVED), feast_class)


def entity_count(entities: Mapping[str, Sequence[Value]]) -> int:
    """How many entities are asked for; all lists must be of one length."""
    lengths = {len(values) for values in entities.values()}
    if len(lengths) != 1:
        found = "none came" if not lengths else "their lengths differ"
        message = f"Each join key has a list with a value for each entity, but {found}."
        raise Unprocessable(message, field="entities")
    return lengths.pop()


def ids_of(view: ServedView, entities: Mapping[str, Sequence[Value]]) -> list[str | None]:
    """The id of each entity as our reader takes it; None for what can be no id."""
    for name in view.key:
        if name not in entities:
            message = f"{view.name} has the join keys {', '.join(view.key)}; {name} is missing."
            raise Unprocessable(message, field=f"entities.{name}")
    parts = [
        [one if type(one) is str else _part(column, one) for one in entities[column.name]]
        for column in view.entity
    ]
    return parts[0] if len(parts) == 1 else list(map(_joined, *parts))


def _joined(*parts: str | None) -> str | None:
    known = [part for part in parts if part is not None]
    # An id is split from the right, so only its first part may hold the separator.
    if len(known) < len(parts) or any("|" in part for part in known[1:]):
        return None
    return "|".join(known)


def _part(column: Column, value: Value) -> str | None:
    """The text that our reader takes; a time may be its seconds since 1970, as Feast has them."""
    if value is None:
        return None
    if isinstance(value, int) and value.bit_length() > LONG_BITS:
        message = f"{column.name} has a number that does not fit into 64 bits."
        raise Unprocessable(message, field=f"entities.{column.name}")
    return str(value)
