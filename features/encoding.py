"""Decoded events back as JSON, in the canonical form of their contract: what `decoding` undoes."""

from __future__ import annotations

from typing import Any

import msgspec
import polars as pl

from features.contract import Contract
from features.timestamps import to_iso

__all__ = ["to_json"]


def to_json(contract: Contract, events: pl.DataFrame) -> list[bytes]:
    """One object for each event; `event_at` in microseconds. Fields that are null are left out."""
    names = [field.name for field in contract.stored_fields]
    rows = events.select("event_id", "event_at", *names, "extra").iter_rows(named=True)
    return [msgspec.json.encode(_object(contract, row)) for row in rows]


def _object(contract: Contract, row: dict[str, Any]) -> dict[str, Any]:
    extra = {entry["key"]: entry["value"] for entry in row.pop("extra") or ()}
    fields = {name: value for name, value in row.items() if value is not None}
    at = to_iso(fields.pop("event_at"))
    return {**extra, **fields, contract.time_field: at}
