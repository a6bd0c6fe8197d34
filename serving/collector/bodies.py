"""From the body of a request to the bytes of each event in it, without touching a byte.

What is forwarded is what was sent, so an event is cut out of its array, not encoded again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec

from serving.errors import BadRequest, TooLarge

__all__ = ["MAX_EVENTS", "split_body"]

MAX_EVENTS = 10_000
NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")
SPACE = " \t\r\n"
EXPECTED = "expected a JSON object, an array of them, or lines of them as application/x-ndjson"
_ELEMENTS = msgspec.json.Decoder(list[msgspec.Raw])
_ONE = msgspec.json.Decoder(msgspec.Raw)
# `NaN`, lone surrogates and numbers of any length are for the contract to judge.
_LENIENT = json.JSONDecoder(parse_int=float)


def split_body(body: bytes, content_type: str) -> list[bytes]:
    """The events of a body; what is neither an event nor a list of them is a `BadRequest`."""
    if content_type.partition(";")[0].strip().lower() in NDJSON:
        events = [line for line in body.split(b"\n") if line.strip()]
    else:
        events = _split_json(body.strip())
    if len(events) > MAX_EVENTS:
        raise TooLarge(f"There are {len(events):,} events; at most {MAX_EVENTS:,} are taken.")
    return events


def _split_json(body: bytes) -> list[bytes]:
    try:
        if body.startswith(b"["):
            return _elements(body)
        if body.startswith(b"{"):
            return [_checked(body)]
    except RecursionError as error:
        raise BadRequest("The body is nested too deeply.", field="body") from error
    except ValueError as error:
        raise BadRequest(f"The body is no JSON: {str(error)[:200]}.", field="body") from error
    what = "is empty" if not body else "is neither an event nor a list of events"
    raise BadRequest(f"The body {what}; {EXPECTED}.", field="body")


def _elements(body: bytes) -> list[bytes]:
    try:
        return [bytes(raw) for raw in _ELEMENTS.decode(body)]
    except msgspec.DecodeError:
        return [element.encode() for element in _lenient_elements(body.decode())]


def _checked(body: bytes) -> bytes:
    """One object, whatever the contract will say of it."""
    try:
        _ONE.decode(body)
    except msgspec.DecodeError:
        _LENIENT.decode(body.decode())
    return body


def _lenient_elements(text: str) -> Iterator[str]:
    """The elements of an array as Python's parser cuts them; it knows more than JSON does."""
    at = _past_space(text, 1)
    if text[at : at + 1] == "]":
        at += 1
    else:
        more = True
        while more:
            _, end = _LENIENT.raw_decode(text, at)
            yield text[at:end]
            at = _past_space(text, end)
            more = text[at : at + 1] == ","
            if not more and text[at : at + 1] != "]":
                raise json.JSONDecodeError("Expecting ',' or ']'", text, at)
            at = _past_space(text, at + 1)
    if at != len(text):
        raise json.JSONDecodeError("Extra data", text, at)


def _past_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in SPACE:
        at += 1
    return at
