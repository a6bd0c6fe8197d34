"""What a topic carries, declared once.

A contract is data: fields with their type, rule, aliases and meaning. Validators, Spark, JSON and
Avro schemas, DDL, request models and documentation are derived from it (`features.validation`,
`features.decoding`, `features.exports`); nothing here knows any of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache, cached_property
from typing import Any

__all__ = ["Contract", "Field", "FieldType", "camel_case"]

Record = dict[str, Any]


class FieldType(Enum):
    """The closed set of types that an event may carry; every export maps exactly these."""

    ID = "id"  # a key: 1..256 characters, no control character; numbers are coerced
    STRING = "string"  # up to 4,096 characters
    DOUBLE = "double"
    LONG = "long"
    BOOLEAN = "boolean"
    TIME = "time"  # stored in microseconds, UTC
    RECORDS = "records"  # an array of flat objects, described by `Field.items`


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field of a contract.

    `required` holds for every event; `required_for` only for the named event types, and not for
    events that carry the path `waived_by` (the mark of a source that cannot know the field).
    `aliases` are dotted paths, tried in order after the name itself and its camelCase form; all of
    them are also looked for under `properties`.
    """

    name: str
    type: FieldType
    doc: str
    required: bool = False
    required_for: tuple[str, ...] = ()
    waived_by: str | None = None
    allowed: tuple[str, ...] = ()
    pattern: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    default: Any = None
    aliases: tuple[str, ...] = ()
    items: tuple[Field, ...] = ()
    unit: str | None = None
    pii: bool = False

    @property
    def paths(self) -> tuple[str, ...]:
        """Every dotted path under which the field is accepted, in order of precedence."""
        return _paths(self.name, self.aliases)


@dataclass(frozen=True, kw_only=True)
class Contract:
    """The events of one topic.

    `key` names the fields that become the Kafka key, first non-null wins. `value_aliases` maps
    accepted spellings of `event_type` to the canonical one. `complete` fills what can be derived
    from the event itself, after its id has been fixed, so that a resend keeps its id; it leaves
    events of types other than `complete_for` as they are.
    """

    name: str
    topic: str
    version: int
    doc: str
    key: tuple[str, ...]
    fields: tuple[Field, ...]
    time_field: str = "timestamp"
    value_aliases: Mapping[str, str] | None = None
    complete: Callable[[Record], Record] | None = None
    complete_for: tuple[str, ...] = ()

    @cached_property
    def names_of(self) -> Mapping[str, list[tuple[str, int]]]:
        """Path -> the fields that it may hold, with its place in their order of precedence."""
        names: dict[str, list[tuple[str, int]]] = {}
        for field in self.fields:
            for rank, path in enumerate(field.paths):
                names.setdefault(path, []).append((field.name, rank))
        return names

    def field(self, name: str) -> Field:
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(f"contract {self.name} has no field {name!r}")

    @property
    def stored_fields(self) -> tuple[Field, ...]:
        """The fields as columns: the id and the event time have columns of their own."""
        return tuple(f for f in self.fields if f.name not in ("event_id", self.time_field))


@cache  # asked for once per field and event
def _paths(name: str, aliases: tuple[str, ...]) -> tuple[str, ...]:
    own = (name, camel_case(name), *aliases)
    under = tuple(f"properties.{path}" for path in own if "." not in path)
    return tuple(dict.fromkeys((*own, *under)))


def camel_case(name: str) -> str:
    """`unit_price` -> `unitPrice`."""
    return re.sub(r"_([a-z0-9])", lambda m: m.group(1).upper(), name)
