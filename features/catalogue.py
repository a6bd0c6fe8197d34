"""All feature views by name, those of the streams and those of the day."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from features.batch_views import BatchView
from features.errors import UnknownName
from features.marts import PUBLISHED
from features.views import VIEWS, FeatureView

__all__ = ["CATALOGUE", "AnyView", "any_view_named"]

AnyView = FeatureView | BatchView
CATALOGUE: Mapping[str, AnyView] = MappingProxyType({**VIEWS, **PUBLISHED})


def any_view_named(name: str) -> AnyView:
    """The view of that name; raises `UnknownName` with the nearest names."""
    try:
        return CATALOGUE[name]
    except KeyError:
        raise UnknownName("feature view", name, CATALOGUE) from None
