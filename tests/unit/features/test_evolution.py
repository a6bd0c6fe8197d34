"""Which changes of a contract are compatible, and by which rule the others are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from features.contract import Contract, Field, FieldType
from features.contracts import CONTRACTS
from features.evolution import breaking_changes
from features.exports import contract_to_json

ITEM = Field(name="product_id", type=FieldType.ID, required=True, doc="What.")
OLD = Contract(
    name="orders",
    topic="orders",
    version=1,
    doc="Orders.",
    key=("order_id",),
    value_aliases={"buy": "bought"},
    fields=(
        Field(name="order_id", type=FieldType.ID, required=True, doc="The order."),
        Field(
            name="event_type",
            type=FieldType.STRING,
            required=True,
            allowed=("bought", "sent"),
            doc="What happened.",
        ),
        Field(name="timestamp", type=FieldType.TIME, required=True, doc="When."),
        Field(
            name="amount",
            type=FieldType.LONG,
            minimum=0,
            maximum=10,
            required_for=("bought",),
            waived_by="free",
            aliases=("total", "sum"),
            default=1,
            unit="currency",
            doc="How much.",
        ),
        Field(name="currency", type=FieldType.STRING, pattern="[A-Z]{3}", doc="Of the amount."),
        Field(name="note", type=FieldType.STRING, doc="Words."),
        Field(name="items", type=FieldType.RECORDS, items=(ITEM,), doc="What was bought."),
    ),
)
NOTE2 = Field(name="note2", type=FieldType.STRING, doc="More words.")


def changed(name: str, **change: Any) -> Contract:
    """The next version, with one field changed."""
    fields = (replace(f, **change) if f.name == name else f for f in OLD.fields)
    return replace(OLD, version=2, fields=tuple(fields))


def extended(*fields: Field, base: Contract = OLD) -> Contract:
    return replace(base, version=2, fields=(*base.fields, *fields))


def without(name: str) -> Contract:
    return replace(OLD, version=2, fields=tuple(f for f in OLD.fields if f.name != name))


MORE_KINDS = changed("event_type", allowed=("bought", "sent", "returned"))

COMPATIBLE = {
    "nothing": OLD,
    "only the version": replace(OLD, version=2),
    "other words": replace(OLD, doc="All orders."),
    "other words of a field": replace(changed("note", doc="Text."), version=1),
    "another order of fields": replace(OLD, version=2, fields=OLD.fields[::-1]),
    "a new optional field": extended(NOTE2),
    "a new enum value": MORE_KINDS,
    "any value instead of an enum": changed("event_type", allowed=()),
    "a new field for a new event type": extended(
        replace(NOTE2, required_for=("returned",)), base=MORE_KINDS
    ),
    "long became double": changed("amount", type=FieldType.DOUBLE),
    "a lower minimum": changed("amount", minimum=-1),
    "no minimum": changed("amount", minimum=None),
    "a higher maximum": changed("amount", maximum=11),
    "no maximum": changed("amount", maximum=None),
    "a pattern dropped": changed("currency", pattern=None),
    "required became optional": changed("order_id", required=False),
    "required for fewer": changed("amount", required_for=()),
    "waived for the first time": replace(
        changed("order_id", required=False, required_for=("bought",), waived_by="x"), version=2
    ),
    "a new alias at the end": changed("note", aliases=("remark",)),
    "a new alias between others": changed("amount", aliases=("total", "value", "sum")),
    "a new spelling of a value": replace(
        OLD, version=2, value_aliases={"buy": "bought", "ship": "sent"}
    ),
    "a new optional field of a nested record": changed("items", items=(ITEM, NOTE2)),
}

BREAKING = {
    "removed field: note": without("note"),
    "removed field: items.product_id": changed("items", items=()),
    "new required field: note2 may only be optional": extended(replace(NOTE2, required=True)),
    "new required field: items.note2 may only be optional": changed(
        "items", items=(ITEM, replace(NOTE2, required=True))
    ),
    "newly required: note was optional": changed("note", required=True),
    "newly required: note for sent": changed("note", required_for=("sent",)),
    "newly required: amount for sent": changed("amount", required_for=("bought", "sent")),
    "newly required: amount is no longer waived by free": changed("amount", waived_by=None),
    "changed type: note was string, became long": changed("note", type=FieldType.LONG),
    "changed type: amount was long, became string": changed("amount", type=FieldType.STRING),
    "narrowed enum: event_type no longer allows sent": changed("event_type", allowed=("bought",)),
    "narrowed enum: note allowed any value": changed("note", allowed=("a",)),
    "changed pattern: note must now match a+": changed("note", pattern="a+"),
    "changed pattern: currency must now match [A-Z]+": changed("currency", pattern="[A-Z]+"),
    "narrowed range: amount is now at least 1": changed("amount", minimum=1),
    "narrowed range: amount is now at most 9": changed("amount", maximum=9),
    "removed alias: amount is no longer accepted as sum, properties.sum": changed(
        "amount", aliases=("total",)
    ),
    "changed precedence: the spellings of amount are tried in another order": changed(
        "amount", aliases=("sum", "total")
    ),
    "changed default: amount had 1, has 2": changed("amount", default=2),
    "changed unit: amount had 'currency', has 'cents'": changed("amount", unit="cents"),
    "changed pii: note had False, has True": changed("note", pii=True),
    "changed key: order_id became order_id, note": replace(
        OLD, version=2, key=("order_id", "note")
    ),
    "changed topic: 'orders' became 'sales'": replace(OLD, version=2, topic="sales"),
    "changed name: 'orders' became 'sales'": replace(OLD, version=2, name="sales"),
    "changed time_field: 'timestamp' became 'at'": replace(OLD, version=2, time_field="at"),
    "removed value alias: 'buy' no longer means 'bought'": replace(
        OLD, version=2, value_aliases=None
    ),
    "version not increased: something changed, and it is still 1": replace(
        extended(NOTE2), version=1
    ),
    "version decreased: 1 became 0": replace(OLD, version=0),
}


@pytest.mark.parametrize("what", COMPATIBLE)
def test_a_compatible_change_passes(what: str) -> None:
    assert breaking_changes(OLD, COMPATIBLE[what]) == []


@pytest.mark.parametrize("rule", BREAKING)
def test_a_breaking_change_is_named(rule: str) -> None:
    assert breaking_changes(OLD, BREAKING[rule]) == [rule]


@pytest.mark.parametrize("rule", BREAKING)
def test_documents_are_compared_like_declarations(rule: str) -> None:
    old, new = contract_to_json(OLD), contract_to_json(BREAKING[rule])
    assert breaking_changes(old, new) == [rule]


@pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda c: c.topic)
def test_a_declared_contract_may_replace_itself(contract: Contract) -> None:
    assert breaking_changes(contract_to_json(contract), contract) == []
