"""Schema evolution: whether one contract may replace another.

A new optional field, a new enum value, a new alias and a widened type or rule are compatible.
Everything else is named with the rule it breaks. Words (`doc`) and the order of fields are free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from features.contract import Contract, Field, FieldType
from features.exports.document import contract_from_json

__all__ = ["breaking_changes"]

WIDENED = {(FieldType.LONG, FieldType.DOUBLE)}


def breaking_changes(
    old: Contract | Mapping[str, Any], new: Contract | Mapping[str, Any]
) -> list[str]:
    """Each rule that `new` breaks for those who know `old`; empty when it is compatible."""
    before, after = as_contract(old), as_contract(new)
    return [
        *identity_changes(before, after),
        *version_changes(before, after),
        *spelling_changes(before, after),
        *field_changes(before.fields, after.fields, new_kinds(before, after)),
    ]


def as_contract(contract: Contract | Mapping[str, Any]) -> Contract:
    return contract if isinstance(contract, Contract) else contract_from_json(contract)


def identity_changes(old: Contract, new: Contract) -> Iterator[str]:
    for attribute in ("name", "topic", "key", "time_field"):
        before, after = getattr(old, attribute), getattr(new, attribute)
        if before != after:
            yield f"changed {attribute}: {shown(before)} became {shown(after)}"


def version_changes(old: Contract, new: Contract) -> Iterator[str]:
    if new.version < old.version:
        yield f"version decreased: {old.version} became {new.version}"
    elif new.version == old.version and meaning(old) != meaning(new):
        yield f"version not increased: something changed, and it is still {new.version}"


def meaning(contract: Contract) -> Contract:
    """The contract without its words and code, and with its fields in one order."""
    return replace(
        contract,
        doc="",
        complete=None,
        complete_for=(),
        value_aliases=dict(contract.value_aliases or {}),
        fields=wordless(contract.fields),
    )


def wordless(fields: tuple[Field, ...]) -> tuple[Field, ...]:
    plain = (replace(field, doc="", items=wordless(field.items)) for field in fields)
    return tuple(sorted(plain, key=lambda field: field.name))


def spelling_changes(old: Contract, new: Contract) -> Iterator[str]:
    accepted = new.value_aliases or {}
    for spelling, canonical in (old.value_aliases or {}).items():
        if accepted.get(spelling) != canonical:
            yield f"removed value alias: {spelling!r} no longer means {canonical!r}"


def new_kinds(old: Contract, new: Contract) -> frozenset[str]:
    """Event types that no sender of `old` knows: what they require breaks nobody."""
    before, after = (allowed_kinds(contract) for contract in (old, new))
    return frozenset(after) - frozenset(before) if before else frozenset()


def allowed_kinds(contract: Contract) -> tuple[str, ...]:
    return next((f.allowed for f in contract.fields if f.name == "event_type"), ())


def field_changes(
    old: tuple[Field, ...], new: tuple[Field, ...], kinds: frozenset[str], prefix: str = ""
) -> Iterator[str]:
    before = {field.name: field for field in old}
    after = {field.name: field for field in new}
    for name in before:
        if name not in after:
            yield f"removed field: {prefix}{name}"
    for name, field in after.items():
        if name in before:
            yield from changes_of(before[name], field, kinds, prefix + name)
        elif field.required or set(field.required_for) - kinds:
            yield f"new required field: {prefix}{name} may only be optional"


def changes_of(old: Field, new: Field, kinds: frozenset[str], path: str) -> Iterator[str]:
    if old.type is not new.type and (old.type, new.type) not in WIDENED:
        yield f"changed type: {path} was {old.type.value}, became {new.type.value}"
    yield from requirement_changes(old, new, kinds, path)
    yield from value_changes(old, new, path)
    yield from alias_changes(old, new, path)
    for attribute in ("default", "unit", "pii"):
        before, after = getattr(old, attribute), getattr(new, attribute)
        if before != after:
            yield f"changed {attribute}: {path} had {shown(before)}, has {shown(after)}"
    yield from field_changes(old.items, new.items, kinds, f"{path}.")


def requirement_changes(old: Field, new: Field, kinds: frozenset[str], path: str) -> Iterator[str]:
    if old.required:
        return
    if new.required:
        yield f"newly required: {path} was optional"
        return
    if more := set(new.required_for) - set(old.required_for) - kinds:
        yield f"newly required: {path} for {', '.join(sorted(more))}"
    if new.required_for and old.waived_by not in (None, new.waived_by):
        yield f"newly required: {path} is no longer waived by {old.waived_by}"


def value_changes(old: Field, new: Field, path: str) -> Iterator[str]:
    gone = [value for value in old.allowed if value not in new.allowed]
    if new.allowed and (gone or not old.allowed):
        what = f"no longer allows {', '.join(gone)}" if gone else "allowed any value"
        yield f"narrowed enum: {path} {what}"
    if new.pattern is not None and new.pattern != old.pattern:
        yield f"changed pattern: {path} must now match {new.pattern}"
    if new.minimum is not None and (old.minimum is None or new.minimum > old.minimum):
        yield f"narrowed range: {path} is now at least {new.minimum}"
    if new.maximum is not None and (old.maximum is None or new.maximum < old.maximum):
        yield f"narrowed range: {path} is now at most {new.maximum}"


def alias_changes(old: Field, new: Field, path: str) -> Iterator[str]:
    kept = [alias for alias in new.paths if alias in old.paths]
    if gone := [alias for alias in old.paths if alias not in kept]:
        yield f"removed alias: {path} is no longer accepted as {', '.join(gone)}"
    elif kept != list(old.paths):
        yield f"changed precedence: the spellings of {path} are tried in another order"


def shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, tuple) else repr(value)
