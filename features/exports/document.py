"""The contract as a JSON document: what `contracts show --json` writes and `check` reads.

The round trip is exact but for `complete`, which is code: a document describes what a topic
carries, not how the platform fills gaps. A value equal to its default is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from types import NoneType
from typing import Any

from features.contract import Contract, Field, FieldType
from features.errors import CoreError

__all__ = ["contract_from_json", "contract_to_json"]

Document = dict[str, Any]

# What JSON makes of each kind of annotation; anything goes for the rest.
EXPECTED: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, NoneType),
    "bool": (bool,),
    "int": (int,),
    "float | None": (int, float, NoneType),
    "tuple[str, ...]": (list,),
    "tuple[Field, ...]": (list,),
    "FieldType": (str,),
    "Mapping[str, str] | None": (dict, NoneType),
}


def contract_to_json(contract: Contract) -> Document:
    """A dict of plain JSON values."""
    aliases = {"value_aliases": dict(contract.value_aliases)} if contract.value_aliases else {}
    return {
        "name": contract.name,
        "topic": contract.topic,
        "version": contract.version,
        "doc": contract.doc,
        "key": list(contract.key),
        "time_field": contract.time_field,
        **aliases,
        "fields": [field_to_json(field) for field in contract.fields],
    }


def field_to_json(field: Field) -> Document:
    return {
        attribute.name: to_plain(getattr(field, attribute.name))
        for attribute in fields(Field)
        if getattr(field, attribute.name) != attribute.default
    }


def to_plain(value: Any) -> Any:
    if isinstance(value, FieldType):
        return value.value
    if isinstance(value, Field):
        return field_to_json(value)
    return [to_plain(item) for item in value] if isinstance(value, tuple) else value


def contract_from_json(document: Mapping[str, Any]) -> Contract:
    """The contract a document describes; raises `CoreError` naming what is wrong with it."""
    return Contract(**{**checked(Contract, document), "fields": fields_from_json(document)})


def fields_from_json(document: Mapping[str, Any], attribute: str = "fields") -> tuple[Field, ...]:
    return tuple(field_from_json(field) for field in document.get(attribute, ()))


def field_from_json(document: Mapping[str, Any]) -> Field:
    plain = checked(Field, document)
    known = [member.value for member in FieldType]
    if plain["type"] not in known:
        raise CoreError(f"There is no type {plain['type']!r}; known are: {', '.join(known)}.")
    items = fields_from_json(document, "items")
    return Field(**{**plain, "type": FieldType(plain["type"]), "items": items})


def checked(kind: type[Contract | Field], document: Any) -> Document:
    """The attributes of one object, with tuples for lists; refuses what the class does not take."""
    what = kind.__name__.lower()
    if not isinstance(document, Mapping):
        raise CoreError(f"A {what} is an object, not {type(document).__name__}.")
    known = {f.name: f for f in fields(kind) if not f.name.startswith("complete")}
    if unknown := sorted(document.keys() - known):
        raise CoreError(f"A {what} has no {', '.join(unknown)}; known are: {', '.join(known)}.")
    for name, attribute in known.items():
        if name in document:
            check_value(f"{name!r} of a {what}", document[name], str(attribute.type))
        elif attribute.default is MISSING:
            raise CoreError(f"A {what} needs {name!r}.")
    return {k: tuple(v) if isinstance(v, list) else v for k, v in document.items()}


def check_value(what: str, value: Any, annotation: str) -> None:
    expected = EXPECTED.get(annotation)
    if expected is None:
        return
    # To Python a bool is an int; to JSON it is not.
    fits = isinstance(value, expected) and (bool in expected or not isinstance(value, bool))
    if not fits:
        names = " or ".join(t.__name__ for t in expected)
        raise CoreError(f"{what} is {type(value).__name__}; expected {names}.")
    if annotation == "tuple[str, ...]" and not all(isinstance(item, str) for item in value):
        raise CoreError(f"{what} holds more than texts.")
