"""What the server knows of a sender and the event does not say: address and user agent.

An address is personal data: by default only the network it lies in is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Literal

from features.contract import Contract
from features.json_text import parse_object

__all__ = ["AddressForm", "Sender", "added_fields", "address_form", "with_fields"]

AddressForm = Literal["truncated", "hashed", "full"]
KEPT_BITS = {4: 24, 6: 48}
HASH_DIGITS = 32
MAX_AGENT = 1024


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a request, in the form that may be kept; null = unknown."""

    ip: str | None = None
    user_agent: str | None = None


def address_form(form: AddressForm, salt: bytes) -> Callable[[str | None], str | None]:
    """The function that brings an address into the form that is kept; no address gives null."""
    forms: dict[AddressForm, Callable[[Any], str]] = {
        "truncated": _truncated,
        "hashed": lambda ip: _hashed(ip, salt),
        "full": str,
    }

    def kept(address: str | None) -> str | None:
        try:
            ip = ip_address((address or "").partition("%")[0])
        except ValueError:  # a socket in the file system, a test
            return None
        mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
        return forms[form](mapped or ip)

    return kept


def _truncated(ip: Any) -> str:
    return str(ip_network((ip, KEPT_BITS[ip.version]), strict=False).network_address)


def _hashed(ip: Any, salt: bytes) -> str:
    """The same text for the same address, and no way back without the salt."""
    digest = hmac.new(salt, ip.packed, hashlib.sha256)
    return digest.hexdigest()[:HASH_DIGITS]


def added_fields(contract: Contract, event: Mapping[str, Any], sender: Sender) -> dict[str, str]:
    """What an accepted event lacks and its contract has a field for."""
    known = {"ip": sender.ip, "user_agent": (sender.user_agent or "")[:MAX_AGENT] or None}
    names = {field.name for field in contract.fields}
    return {
        name: value
        for name, value in known.items()
        if value is not None and name in names and event[name] is None
    }


def with_fields(raw: bytes, added: Mapping[str, Any], event_id: str) -> bytes:
    """The object with these fields, in place of what it has under their names.

    An id that was derived goes with them: it is of what was sent, and a resend from another address
    must stay the same event.
    """
    if not added:
        return raw
    if event_id.encode() not in raw:
        added = {**added, "event_id": event_id}
    if b"\\" in raw or any(f'"{name}"'.encode() in raw for name in added):
        return json.dumps({**parse_object(raw), **added}).encode()
    return json.dumps(added)[:-1].encode() + b", " + raw.lstrip()[1:]
