"""Rows of one view by id, as many as come in time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from serving.recommend.patience import Patience
from serving.recommend.ports import Features
from serving.recommend.signals import Values

__all__ = ["rows_of"]


async def rows_of(
    store: Features, patience: Patience, view: str, ids: Sequence[str], features: Iterable[str]
) -> dict[str, Values]:
    """Id -> features, of those that are known; that some could not be asked for is a miss."""
    if not ids:
        return {}
    rows = await patience.wait(view, store.read(view, ids, list(features)), [])
    if any(row.is_unavailable for row in rows):
        patience.missed.add(view)
    return {row.id: row.features for row in rows if row.features is not None}
