"""What can be wrong with a record: a catalogue, each entry with the reason it must be refused for.

A kind spoils a good record. It applies to a contract that has a field for it, and travels by the
carriers that can hold it: a line of JSONL holds no empty value, a JSON array only JSON objects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from features.contract import Contract, Field, FieldType
from producer.times import HOUR_US, to_iso

__all__ = ["CATALOGUE", "BadKind", "carried_by", "kinds_of", "next_kind"]

Record = dict[str, Any]
Spoil = Callable[[bytes, Contract, int], bytes]

ANY = frozenset({"kafka", "jsonl", "http"})
LINES = frozenset({"kafka", "jsonl"})
KAFKA = frozenset({"kafka"})
TOO_LARGE = 1 << 20
TOO_DEEP = 70
DAY_US = 24 * HOUR_US
# One record in so many is oversized; early enough that a small run has one too.
LARGE_EVERY, LARGE_AT = 100, 30


@dataclass(frozen=True, slots=True)
class BadKind:
    """One way to spoil a record; `rare` ones are too big to send often."""

    name: str
    reason: str
    spoil: Spoil
    carriers: frozenset[str] = ANY
    applies: Callable[[Contract], bool] = lambda _: True
    rare: bool = False


def _first(contract: Contract, fits: Callable[[Field], bool]) -> Field | None:
    return next((field for field in contract.fields if fits(field)), None)


def _field(contract: Contract, fits: Callable[[Field], bool]) -> Field:
    found = _first(contract, fits)
    if found is None:
        raise ValueError(f"The contract {contract.name} has no field to spoil so.")
    return found


def _has(fits: Callable[[Field], bool]) -> Callable[[Contract], bool]:
    return lambda contract: _first(contract, fits) is not None


def _is_required(field: Field) -> bool:
    return field.required and field.type is not FieldType.TIME


def _is_id(field: Field) -> bool:
    return field.type is FieldType.ID and field.name != "event_id"


def _is_double(field: Field) -> bool:
    return field.type is FieldType.DOUBLE


def _is_long(field: Field) -> bool:
    return field.type is FieldType.LONG


def _is_bounded(field: Field) -> bool:
    return field.minimum is not None


def _is_closed(field: Field) -> bool:
    return bool(field.allowed)


def _is_country(field: Field) -> bool:
    return field.name == "country"


def _is_time(field: Field) -> bool:
    return field.name == "timestamp"


def _encode(record: Any) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()


def _without(record: Record, field: Field) -> Record:
    return {name: value for name, value in record.items() if name not in field.paths}


def _put(fits: Callable[[Field], bool], wrong: Any) -> Spoil:
    """Sets the first field that fits, under its own name alone, to a wrong value."""

    def spoil(value: bytes, contract: Contract, due_us: int) -> bytes:
        field = _field(contract, fits)
        chosen = wrong(field, due_us) if callable(wrong) else wrong
        return _encode({**_without(json.loads(value), field), field.name: chosen})

    return spoil


def _drop(value: bytes, contract: Contract, _due_us: int) -> bytes:
    return _encode(_without(json.loads(value), _field(contract, _is_required)))


def _repeat_key(value: bytes, _contract: Contract, _due_us: int) -> bytes:
    name = next(iter(json.loads(value)))
    return b'{"%s":"twice",' % name.encode() + value[1:]


def _nest(value: bytes, _contract: Contract, _due_us: int) -> bytes:
    return value[:-1] + b',"deep":' + b"[" * TOO_DEEP + b"]" * TOO_DEEP + b"}"


def _bytes(change: Callable[[bytes], bytes]) -> Spoil:
    return lambda value, _contract, _due_us: change(value)


CATALOGUE: tuple[BadKind, ...] = (
    BadKind("cut off", "not_json", _bytes(lambda v: v[: len(v) // 2]), LINES),
    BadKind("missing field", "missing_field", _drop, applies=_has(_is_required)),
    BadKind("object for an id", "wrong_type", _put(_is_id, {"a": 1}), applies=_has(_is_id)),
    BadKind("empty id", "out_of_range", _put(_is_id, ""), applies=_has(_is_id)),
    BadKind("unknown choice", "not_allowed", _put(_is_closed, "hover"), applies=_has(_is_closed)),
    BadKind("word for a time", "bad_timestamp", _put(_is_time, "yesterday")),
    BadKind("40 days old", "too_old", _put(_is_time, lambda _, due: to_iso(due - 40 * DAY_US))),
    BadKind("an hour ahead", "in_the_future", _put(_is_time, lambda _, due: to_iso(due + HOUR_US))),
    BadKind("array", "not_an_object", _bytes(lambda v: b"[" + v + b"]"), LINES),
    BadKind("not a number", "wrong_type", _put(_is_double, float("nan")), LINES, _has(_is_double)),
    BadKind("invalid UTF-8", "not_json", _bytes(lambda v: v.replace(b':"', b':"\xff\xfe')), LINES),
    BadKind(
        "below range",
        "out_of_range",
        _put(_is_bounded, lambda field, _: field.minimum - 1),
        applies=_has(_is_bounded),
    ),
    BadKind(
        "malformed country", "not_allowed", _put(_is_country, "kor"), applies=_has(_is_country)
    ),
    BadKind("truth for a time", "bad_timestamp", _put(_is_time, wrong=True)),
    BadKind("empty value", "not_json", _bytes(lambda _: b""), KAFKA),
    BadKind("word for a number", "wrong_type", _put(_is_double, "many"), applies=_has(_is_double)),
    BadKind("fraction for a count", "wrong_type", _put(_is_long, 1.5), applies=_has(_is_long)),
    BadKind("byte order mark", "not_json", _bytes(lambda v: b"\xef\xbb\xbf" + v), LINES),
    BadKind("bare string", "not_an_object", _bytes(lambda _: b'"enter"'), LINES),
    BadKind("id too long", "out_of_range", _put(_is_id, "x" * 257), applies=_has(_is_id)),
    BadKind("key twice", "not_json", _repeat_key, LINES),
    BadKind("year 9999", "in_the_future", _put(_is_time, "9999-12-31T23:59:59Z")),
    BadKind("nested too deep", "not_json", _nest, LINES),
    BadKind("time beyond range", "bad_timestamp", _put(_is_time, 1e14)),
    BadKind(
        "oversized",
        "too_large",
        _bytes(lambda v: v[:-1] + b" " * TOO_LARGE + b"}"),
        LINES,
        rare=True,
    ),
)


def carried_by(carrier: str) -> tuple[BadKind, ...]:
    """The kinds that `kafka`, `jsonl` or `http` can transport unharmed."""
    return tuple(kind for kind in CATALOGUE if carrier in kind.carriers)


def kinds_of(contract: Contract, kinds: Iterable[BadKind]) -> tuple[BadKind, ...]:
    """Those of `kinds` that this contract has a field for."""
    return tuple(kind for kind in kinds if kind.applies(contract))


def next_kind(kinds: tuple[BadKind, ...], number: int) -> BadKind:
    """The kinds in turn, the rare ones now and then."""
    rare = [kind for kind in kinds if kind.rare]
    usual = [kind for kind in kinds if not kind.rare]
    if rare and number % LARGE_EVERY == LARGE_AT:
        return rare[number // LARGE_EVERY % len(rare)]
    return usual[number % len(usual)]
