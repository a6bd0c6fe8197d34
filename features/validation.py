"""What a contract accepts: the exact rules, one raw value at a time.

This is the meaning of a contract. `features.decoding` does the same for whole batches and must
agree with it on every value; it also hands over here whatever it cannot prove to be clean.
A rejection is a result with a reason, never an exception.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import Any, NoReturn

import msgspec

from features.contract import Contract, Field, FieldType, Record
from features.json_text import Refusal, json_type, parse_object, refuse
from features.timestamps import NUMBER, BadTimestamp, parse_timestamp

__all__ = [
    "ARRIVAL",
    "REASON_CODES",
    "RECORDED",
    "Accepted",
    "Rejected",
    "TimeBounds",
    "derived_id",
    "validate",
]

REASON_CODES = (
    "not_json",
    "not_an_object",
    "missing_field",
    "wrong_type",
    "out_of_range",
    "not_allowed",
    "bad_timestamp",
    "too_old",
    "in_the_future",
    "too_large",
    "late",
)
MAX_ID = 256
MAX_STRING = 4096
LONG_MIN, LONG_MAX = -(1 << 63), (1 << 63) - 1
YEAR_ONE = -62_135_596_800_000_000
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
SURROGATE = re.compile(r"[\ud800-\udfff]")
CONTAINERS = ("properties", "context")
_CANONICAL = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class TimeBounds:
    """How far event time may lie from its receipt, in microseconds, both inclusive."""

    behind: int
    ahead: int


_MICROSECOND = timedelta(microseconds=1)
ARRIVAL = TimeBounds(timedelta(days=35) // _MICROSECOND, timedelta(minutes=5) // _MICROSECOND)
# Recorded events arrive whenever somebody reads them: any time that every store can hold.
_AGES = timedelta(days=365_000) // _MICROSECOND
RECORDED = TimeBounds(_AGES, _AGES)


@dataclass(frozen=True, slots=True)
class Accepted:
    """`event` holds every field of the contract (null where absent), `event_id`, the event time in
    microseconds as `event_at`, and `extra`: what the contract does not know, as text.
    """

    event: Record


@dataclass(frozen=True, slots=True)
class Rejected:
    reason_code: str
    reason: str


def validate(
    contract: Contract, raw: bytes | None, received_at_us: int, bounds: TimeBounds = ARRIVAL
) -> Accepted | Rejected:
    """One raw value against its contract; `received_at_us` anchors the time bounds."""
    try:
        document = parse_object(raw)
        event = _fields(contract, document)
        if event["event_at"] is None:
            event["event_at"] = received_at_us
        _check_time(event["event_at"], received_at_us, bounds)
    except Refusal as refusal:
        return Rejected(*refusal.args)
    return Accepted(event)


# --- the fields ---------------------------------------------------------------------------------


def _fields(contract: Contract, document: Record) -> Record:
    leaves = _leaves(document)
    sent, used = _sent_values(contract, leaves)
    kind = _kind(contract, sent)
    event: Record = {}
    for field in contract.fields:
        value = kind if field.name == "event_type" else sent.get(field.name)
        if value is None:
            event[field.name] = None
            if field.required or field.required_for:
                _check_missing(field, kind, leaves)
            continue
        event[field.name] = _value(field, value)
        if field.type is FieldType.TIME and field.name != contract.time_field:
            _check_storable(field, event[field.name])
    event["event_at"] = event.pop(contract.time_field)
    event["event_id"] = event["event_id"] or derived_id(contract, _sent(event))
    for field in contract.fields:
        if field.default is not None and event[field.name] is None:
            event[field.name] = field.default
    if contract.complete and kind in contract.complete_for:
        event = contract.complete(event)
    event["extra"] = {_storable(p): _as_text(v) for p, v in leaves.items() if p not in used}
    return event


def _sent_values(contract: Contract, leaves: Record) -> tuple[Record, set[str]]:
    """Field -> its value, and the paths that were used: of several the first that is not null.

    By the leaves, which are few, and not by all the paths that fields may have.
    """
    best: dict[str, tuple[bool, int, str]] = {}
    for path, value in leaves.items():
        for name, rank in contract.names_of.get(path, ()):
            place = (value is None, rank, path)
            if name not in best or place < best[name]:
                best[name] = place
    sent = {name: leaves[path] for name, (_, _, path) in best.items()}
    return sent, {path for _, _, path in best.values()}


def _kind(contract: Contract, sent: Record) -> Any:
    """The event type in its canonical spelling: it decides which fields are required."""
    kind = sent.get("event_type")
    if contract.value_aliases and isinstance(kind, str):
        return contract.value_aliases.get(kind, kind)
    return kind


def _leaves(document: Record) -> Record:
    """Dotted path -> value. Only the containers that contracts look into are opened."""
    leaves: Record = {}
    for key, value in document.items():
        if key in CONTAINERS and isinstance(value, dict):
            leaves.update(_opened(key, value))
        else:
            leaves[key] = value
    return leaves


def _opened(prefix: str, node: Record) -> Record:
    leaves: Record = {}
    for key, value in node.items():
        path = f"{prefix}.{key}"
        if prefix == "context" and isinstance(value, dict):
            leaves.update(_opened(path, value))
        else:
            leaves[path] = value
    return leaves


def _check_missing(field: Field, kind: Any, leaves: Record) -> None:
    if field.required:
        refuse("missing_field", f"Field {field.name!r} is required.")
    waived = field.waived_by is not None and field.waived_by in leaves
    if kind in field.required_for and not waived:
        refuse("missing_field", f"Field {field.name!r} is required for {kind!r}.")


def _check_storable(field: Field, micros: int) -> None:
    if micros < YEAR_ONE:
        refuse("bad_timestamp", f"Field {field.name!r} lies before year 1.")


def derived_id(contract: Contract, sent: msgspec.Struct | Record) -> str:
    """A stable id of an event sent without one: a hash over what was sent, without nulls and in the
    order of the names, so that a resend, and a contract with new optional fields, give the same id.
    """
    return blake2b(_CANONICAL.encode([contract.topic, sent]), digest_size=16).hexdigest()


def _sent(event: Record) -> Record:
    return {name: value for name, value in event.items() if value is not None}


def _value(field: Field, value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        refuse("wrong_type", f"Field {field.name!r} holds {value}; expected a finite number.")
    value = _READERS[field.type](field, value)
    if field.allowed and value not in field.allowed:
        refuse(
            "not_allowed",
            f"Field {field.name!r} holds {_short(value)}; allowed are {', '.join(field.allowed)}.",
        )
    if field.pattern and not re.fullmatch(field.pattern, value):
        refuse(
            "not_allowed",
            f"Field {field.name!r} holds {_short(value)}; expected the form {field.pattern}.",
        )
    return value


def _read_id(field: Field, value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        _wrong_type(field, value, "text or a whole number")
    if not 0 < len(value) <= MAX_ID:
        refuse(
            "out_of_range",
            f"Field {field.name!r} has {len(value)} characters; expected 1 to {MAX_ID}.",
        )
    if CONTROL.search(value) or SURROGATE.search(value):
        refuse("out_of_range", f"Field {field.name!r} holds a control character.")
    return value


def _read_string(field: Field, value: Any) -> str:
    if not isinstance(value, str):
        _wrong_type(field, value, "text")
    if len(value) > MAX_STRING and not (field.allowed or field.pattern):
        refuse(
            "out_of_range",
            f"Field {field.name!r} has {len(value):,} characters; at most {MAX_STRING:,}.",
        )
    return _storable(value)


def _read_double(field: Field, value: Any) -> float:
    number = _number(field, value)
    try:
        number = float(number)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        _wrong_type(field, value, "a number that fits a double")
    _check_range(field, number)
    return number


def _read_long(field: Field, value: Any) -> int:
    number = _number(field, value)
    if isinstance(number, float):
        if not number.is_integer():
            _wrong_type(field, value, "a whole number")
        number = int(number)
    if not LONG_MIN <= number <= LONG_MAX:
        refuse("out_of_range", f"Field {field.name!r} does not fit 64 bits.")
    _check_range(field, number)
    return number


def _number(field: Field, value: Any) -> int | float:
    if isinstance(value, str) and len(value) <= MAX_STRING and NUMBER.fullmatch(value):
        value = json.loads(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        _wrong_type(field, value, "a number")
    if isinstance(value, float) and not math.isfinite(value):
        _wrong_type(field, value, "a finite number")
    number: int | float = value
    return number


def _check_range(field: Field, number: float) -> None:
    low, high = field.minimum, field.maximum
    if (low is not None and number < low) or (high is not None and number > high):
        bounds = f"{'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'}"
        refuse("out_of_range", f"Field {field.name!r} holds {_short(number)}; expected {bounds}.")


def _read_boolean(field: Field, value: Any) -> bool:
    if isinstance(value, str) and value in ("true", "false"):
        return value == "true"
    if not isinstance(value, bool):
        _wrong_type(field, value, "true or false")
    return value


def _read_time(field: Field, value: Any) -> int:
    if isinstance(value, str) and NUMBER.fullmatch(value) and not math.isfinite(float(value)):
        _wrong_type(field, value, "a finite number")
    try:
        return parse_timestamp(value)
    except BadTimestamp as error:
        refuse("bad_timestamp", f"Field {field.name!r}: {error}.")


def _read_records(field: Field, value: Any) -> list[Record]:
    if not isinstance(value, list):
        _wrong_type(field, value, "an array of objects")
    return [_read_record(field, item) for item in value]


def _first(paths: tuple[str, ...], item: Record) -> Any:
    return next((item[path] for path in paths if item.get(path) is not None), None)


def _read_record(field: Field, item: Any) -> Record:
    if not isinstance(item, dict):
        _wrong_type(field, item, "an object in the array")
    record: Record = {}
    for part in field.items:
        value = _first(part.paths, item)
        if value is None and part.required:
            refuse("missing_field", f"An entry of {field.name!r} has no {part.name!r}.")
        record[part.name] = part.default if value is None else _value(part, value)
    return record


_READERS: dict[FieldType, Callable[[Field, Any], Any]] = {
    FieldType.ID: _read_id,
    FieldType.STRING: _read_string,
    FieldType.DOUBLE: _read_double,
    FieldType.LONG: _read_long,
    FieldType.BOOLEAN: _read_boolean,
    FieldType.TIME: _read_time,
    FieldType.RECORDS: _read_records,
}


# --- the clock ----------------------------------------------------------------------------------


def _check_time(event_at: int, received_at: int, bounds: TimeBounds) -> None:
    ahead = event_at - received_at
    if ahead > bounds.ahead:
        refuse("in_the_future", f"Event time is {ahead // 1_000_000:,} s ahead of its receipt.")
    if -ahead > bounds.behind:
        refuse("too_old", f"Event time is {-ahead // 86_400_000_000:,} days before its receipt.")


# --- words --------------------------------------------------------------------------------------


def _wrong_type(field: Field, value: Any, expected: str) -> NoReturn:
    found = f"{json_type(value)} {_short(value)}"
    refuse("wrong_type", f"Field {field.name!r} holds the {found}; expected {expected}.")


def _short(value: Any) -> str:
    return ascii(value)[:60]


def _storable(text: str) -> str:
    return UNSTORABLE.sub("�", text)


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _storable(text)
