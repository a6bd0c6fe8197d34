"""JSON Schema (Draft-07): what a producer may send, as the canonical flat event.

The schema accepts what the validator coerces (a number as an id, a numeric string as a number).
Two things it cannot say: a range on a numeric string, and the bounds of event time.
"""

from __future__ import annotations

from typing import Any

from features.contract import Contract, Field, FieldType

__all__ = ["to_jsonschema"]

Schema = dict[str, Any]

NUMERIC = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
NO_CONTROL = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"
NOT_NULL: Schema = {"not": {"type": "null"}}

TYPES: dict[FieldType, Schema] = {
    # "integer" holds for 7.0 too, which is the id "7".
    FieldType.ID: {
        "type": ["string", "integer"],
        "minLength": 1,
        "maxLength": 256,
        "pattern": NO_CONTROL,
    },
    FieldType.STRING: {"type": ["string"], "maxLength": 4096},
    FieldType.DOUBLE: {"type": ["number", "string"], "pattern": NUMERIC},
    FieldType.LONG: {"type": ["integer", "string"], "pattern": NUMERIC},
    FieldType.BOOLEAN: {"type": ["boolean", "string"], "pattern": "^(true|false)$"},
    FieldType.TIME: {"type": ["string", "number"], "minLength": 1, "exclusiveMaximum": 10**14},
    FieldType.RECORDS: {"type": ["array"]},
}


def to_jsonschema(contract: Contract) -> Schema:
    """The schema of one event of the topic, as sent."""
    aliases = contract.value_aliases or {}
    schema: Schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": f"urn:userflow:{contract.topic}:v{contract.version}",
        "title": contract.name,
        "description": contract.doc,
        **object_schema(contract.fields),
    }
    for spelling in aliases:
        schema["properties"]["event_type"]["enum"].append(spelling)
    conditions = [condition(f, dict(aliases)) for f in contract.fields if f.required_for]
    return {**schema, "allOf": conditions} if conditions else schema


def object_schema(fields: tuple[Field, ...]) -> Schema:
    return {
        "type": "object",
        "required": [field.name for field in fields if field.required],
        "properties": {field.name: property_schema(field) for field in fields},
        "additionalProperties": True,
    }


def property_schema(field: Field) -> Schema:
    schema: Schema = {"description": field.doc, **TYPES[field.type], **rules(field)}
    if not field.required:
        schema["type"] = [*schema["type"], "null"]
    if len(schema["type"]) == 1:
        schema["type"] = schema["type"][0]
    if field.items:
        schema["items"] = object_schema(field.items)
    return schema


def rules(field: Field) -> Schema:
    """The declared rules, under the names JSON Schema has for them."""
    allowed = [*field.allowed, *([] if field.required else [None])] if field.allowed else None
    named = {
        "enum": allowed,
        "pattern": f"^(?:{field.pattern})$" if field.pattern else None,
        "minimum": field.minimum,
        "maximum": field.maximum,
        "default": field.default,
        "x-unit": field.unit,
        "x-pii": field.pii or None,
    }
    return {name: value for name, value in named.items() if value is not None}


def condition(field: Field, aliases: dict[str, str]) -> Schema:
    """`required_for` as if/then; an event that carries `waived_by` is let through."""
    spellings = [s for s, canonical in aliases.items() if canonical in field.required_for]
    when: Schema = {
        "required": ["event_type"],
        "properties": {"event_type": {"enum": [*field.required_for, *spellings]}},
    }
    if field.waived_by:
        when["not"] = {"required": [field.waived_by]}
    return {"if": when, "then": present(field.name)}


def present(name: str) -> Schema:
    """A null counts as missing."""
    return {"required": [name], "properties": {name: NOT_NULL}}
