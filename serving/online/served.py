"""The views as they are served: those of the streams and those of the marts in one shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from string import Formatter
from types import MappingProxyType

from features.columns import Column, ColumnType
from features.marts import PUBLISHED, BatchView
from features.timestamps import BadTimestamp, parse_timestamp
from features.views import VIEWS, FeatureView
from serving.errors import NotFound

__all__ = ["SERVED", "ServedView", "served_view"]

EPOCH_MS = "_epoch_ms"
START = datetime(1970, 1, 1)  # noqa: DTZ001 - UTC, as all that is added to it
# A day after it is due, the next publication of a batch view has not come.
BATCH_STALE_S = 2 * 86_400
LARGEST_INT = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class ServedView:
    """A view of the online store.

    `redis_key`: a template over the entity, of one hash for each row; `batch_key`: one hash that
    holds all rows as JSON. A view with neither is in PostgreSQL only. `topic`: what it is made of,
    if a stream makes it. `stale_after_s`: how old a row may be.
    """

    name: str
    doc: str
    entity: tuple[Column, ...]
    features: tuple[Column, ...]
    has_event_at: bool
    redis_key: str = ""
    batch_key: str = ""
    batch_version_key: str = ""
    topic: str | None = None
    version: int = 1
    stale_after_s: int

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of the entity."""
        return tuple(column.name for column in self.entity)

    @property
    def id_form(self) -> str:
        """How an id is written."""
        return "|".join(self.key)

    def columns(self, names: Sequence[str] | None) -> tuple[Column, ...]:
        """The features of these names, in their order; all when None. Raises `NotFound`."""
        if names is None:
            return self.features
        known = {column.name: column for column in self.features}
        for name in names:
            if name not in known:
                raise NotFound.named(f"feature of {self.name}", name, known)
        return tuple(known[name] for name in dict.fromkeys(names))

    def entity_of(self, entity_id: str) -> tuple[str, ...] | None:
        """The parts of an id, each as PostgreSQL and JSON spell it; None if it can be no id.

        The last parts take no `|`: an id of ours may hold any character, so it is split from the
        right.
        """
        parts = entity_id.rsplit("|", len(self.entity) - 1)
        if len(parts) != len(self.entity):
            return None
        try:
            for i, spelled in self._spelled:
                parts[i] = spelled(parts[i])
        except (ValueError, OverflowError):
            return None
        return tuple(parts)

    def key_of(self, entity: Sequence[str]) -> str:
        """The Redis key of an entity."""
        template, times = self._redis_key
        parts = list(entity)
        for i in times:
            parts[i] = str(parse_timestamp(parts[i]) // 1000)
        return template.format(*parts)

    @cached_property
    def _spelled(self) -> list[tuple[int, Callable[[str], str]]]:
        """The places of the entity that are no text, and what makes them one."""
        types = [column.type for column in self.entity]
        return [(i, SPELLED[of]) for i, of in enumerate(types) if of in SPELLED]

    @cached_property
    def _redis_key(self) -> tuple[str, list[int]]:
        """The template by place instead of by name, and the places that are milliseconds."""
        template, times = "", []
        for literal, name, _, _ in Formatter().parse(self.redis_key):
            template += literal
            if name is not None:
                place = self.key.index(name.removesuffix(EPOCH_MS))
                template += f"{{{place}}}"
                times += [place] if name.endswith(EPOCH_MS) else []
        return template, times


def _time(text: str) -> str:
    if not text.strip():
        raise BadTimestamp("no time")
    moment = START + timedelta(microseconds=parse_timestamp(text))
    # Unlike `to_iso` with four digits for every year: PostgreSQL takes no fewer.
    return f"{moment.isoformat(timespec='microseconds')}Z"


def _int(text: str) -> str:
    if not (text.isascii() and text.isdigit() and int(text[:20]) <= LARGEST_INT):
        raise ValueError(text)
    return str(int(text))


SPELLED: Mapping[ColumnType, Callable[[str], str]] = {
    ColumnType.TIMESTAMP: _time,
    ColumnType.INT: _int,
}


def _of_stream(view: FeatureView) -> ServedView:
    return ServedView(
        name=view.name,
        doc=view.doc,
        entity=view.entity,
        features=view.features,
        has_event_at=True,
        redis_key=view.redis_key,
        topic=view.topic,
        version=view.version,
        stale_after_s=view.ttl_seconds,
    )


def _of_mart(view: BatchView) -> ServedView:
    by_name = {column.name: column for column in view.mart.columns}
    return ServedView(
        name=view.name,
        doc=f"What dbt computed of `marts.{view.mart.name}`, once a day.",
        entity=tuple(by_name[name] for name in view.mart.key),
        features=tuple(c for c in view.mart.columns if c.name not in view.mart.key),
        has_event_at=False,
        batch_key=view.redis_key,
        batch_version_key=view.redis_version_key,
        stale_after_s=BATCH_STALE_S,
    )


SERVED: Mapping[str, ServedView] = MappingProxyType(
    {
        view.name: view
        for view in (*map(_of_stream, VIEWS.values()), *map(_of_mart, PUBLISHED.values()))
    }
)


def served_view(name: str) -> ServedView:
    """The view of that name; raises `NotFound` with the nearest names."""
    try:
        return SERVED[name]
    except KeyError:
        raise NotFound.named("feature view", name, SERVED) from None
