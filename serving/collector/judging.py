"""One event of a request: its topic, what its contract says, and the record that goes to Kafka.

What is rejected goes to its topic as well, byte by byte: there the stream makes it a dead letter,
with its place and its reason, as it does with whatever else breaks a contract. So an event that
somebody sent is never lost, also when the sender, like `sendBeacon`, hears no answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from features.contract import Contract
from features.contracts import CONTRACTS
from features.contracts.commerce import COMMERCE
from features.contracts.webtoon import WEBTOON
from features.validation import Accepted, Rejected, validate
from serving.collector.enrichment import Sender, added_fields, with_fields
from serving.collector.log import Outgoing
from serving.errors import NotFound

__all__ = ["Judged", "contract_named", "judge"]


class _Kind(msgspec.Struct):
    """As much of an event as its topic can be told by."""

    event_type: Any = None
    eventType: Any = None  # noqa: N815 - a name of others


READING = frozenset(WEBTOON.field("event_type").allowed)
_KIND = msgspec.json.Decoder(_Kind)


@dataclass(frozen=True, slots=True)
class Judged:
    """`refusal` is null for what was accepted."""

    record: Outgoing
    refusal: Rejected | None


def contract_named(topic: str | None) -> Contract | None:
    """The contract of a topic; null where each event is to tell by itself."""
    if topic is None:
        return None
    if topic not in CONTRACTS:
        raise NotFound.named("topic", topic, CONTRACTS)
    return CONTRACTS[topic]


def judge(contract: Contract | None, raw: bytes, received_at_ms: int, sender: Sender) -> Judged:
    """`contract` is null when the request names no topic."""
    contract = contract or _guessed(raw)
    outcome = validate(contract, raw, received_at_ms * 1000)
    if isinstance(outcome, Rejected):
        return Judged(Outgoing(contract.topic, None, raw, received_at_ms), outcome)
    added = added_fields(contract, outcome.event, sender)
    value = with_fields(raw, added, outcome.event["event_id"])
    key = _key(contract, outcome)
    return Judged(Outgoing(contract.topic, key, value, received_at_ms), None)


def _guessed(raw: bytes) -> Contract:
    """Readers enter, scroll, complete and exit, and nobody else does; all else is shopping."""
    try:
        kind = _KIND.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return COMMERCE
    said = kind.event_type if kind.event_type is not None else kind.eventType
    return WEBTOON if isinstance(said, str) and said in READING else COMMERCE


def _key(contract: Contract, accepted: Accepted) -> str | None:
    found = (accepted.event[name] for name in contract.key)
    return next((str(value) for value in found if value is not None), None)
