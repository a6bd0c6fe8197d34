"""From bytes to a JSON object, strictly: one meaning for each text, or a refusal with a reason."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from features.contract import Record

__all__ = ["MAX_BYTES", "Refusal", "json_type", "parse_object", "refuse"]

MAX_BYTES = 1 << 20
MAX_DEPTH = 64


class Refusal(Exception):
    """A reason code and a sentence; leaves nested checks, and never the validator."""


def refuse(code: str, reason: str) -> NoReturn:
    raise Refusal(code, reason)


def parse_object(raw: bytes | None) -> Record:
    raw = raw or b""
    if len(raw) > MAX_BYTES:
        refuse("too_large", f"The value has {len(raw):,} bytes; at most {MAX_BYTES:,} are taken.")
    if not raw.strip():
        refuse("not_json", "The value is empty; expected a JSON object.")
    try:
        document = _loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        refuse("not_json", f"Byte {error.start} is not UTF-8.")
    except RecursionError:
        refuse("not_json", f"Nested deeper than {MAX_DEPTH} levels.")
    except ValueError as error:
        refuse("not_json", f"{str(error)[:200]}.")
    # A text opens at least as many as are nested in it, and most open few.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and _depth_exceeds(document, MAX_DEPTH):
        refuse("not_json", f"Nested deeper than {MAX_DEPTH} levels.")
    if not isinstance(document, dict):
        refuse("not_an_object", f"Found a JSON {json_type(document)}; expected an object.")
    return document


def _loads(text: str) -> Any:
    return _DECODER.decode(text)


def _unique_keys(pairs: list[tuple[str, Any]]) -> Record:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"Key {next(k for k in keys if keys.count(k) > 1)!r} stands twice")
    return found


def _parse_int(text: str) -> int | float:
    # int() refuses beyond 4,300 digits, and what overflows a double is no number of ours.
    number = float(text)
    return int(text) if math.isfinite(number) else number


# `json.loads` would make one for each text.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_int=_parse_int)


def _depth_exceeds(document: Any, limit: int) -> bool:
    level = [document]
    for _ in range(limit):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return any(isinstance(node, dict | list) for node in level)


def json_type(value: Any) -> str:
    names = {bool: "boolean", str: "string", list: "array", dict: "object", type(None): "null"}
    return names.get(type(value), "number")
