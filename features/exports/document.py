"""The contract as a JSON document: what `contracts show --json` writes and `check` reads.

The round trip is exact but for `complete`, which is code: a document describes what a topic
carries, not how the platform fills gaps. A value equal to its default is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from features.contract import Contract, Field, FieldType
from features.errors import CoreError

__all__ = ["contract_from_json", "contract_to_json"]

Document = dict[str, Any]

CONTRACT_ATTRIBUTES = frozenset(f.name for f in fields(Contract)) - {"complete"}
FIELD_ATTRIBUTES = frozenset(f.name for f in fields(Field))


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
    refuse_unknown(document, CONTRACT_ATTRIBUTES, "contract")
    try:
        return Contract(
            **{
                **document,
                "key": tuple(document["key"]),
                "fields": tuple(field_from_json(field) for field in document["fields"]),
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CoreError(f"This is not the document of a contract: {error}.") from error


def field_from_json(document: Mapping[str, Any]) -> Field:
    refuse_unknown(document, FIELD_ATTRIBUTES, f"field {document.get('name')!r}")
    items = tuple(field_from_json(item) for item in document.get("items", ()))
    plain: Document = {k: tuple(v) if isinstance(v, list) else v for k, v in document.items()}
    return Field(**{**plain, "type": FieldType(document["type"]), "items": items})


def refuse_unknown(document: Any, known: frozenset[str], what: str) -> None:
    if not isinstance(document, Mapping):
        raise CoreError(f"A {what} is an object, not {type(document).__name__}.")
    if unknown := sorted(document.keys() - known):
        raise CoreError(
            f"A {what} has no {', '.join(unknown)}; known are: {', '.join(sorted(known))}."
        )
