"""How dead letters look: as documents, and on a terminal."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from features.timestamps import to_iso
from features.validation import Rejected
from infra.dead_letters.letters import Heading, Letter, Place
from infra.dead_letters.trail import Try

__all__ = ["letter_to_json", "list_to_json", "print_letter", "print_list", "text_of"]

Counts = Sequence[tuple[str, str, str, int]]
# What moves the cursor or turns the writing around; a payload may be written to do so.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def text_of(raw: bytes | None) -> str | None:
    r"""Bytes as text; what is no UTF-8 as `\xff`."""
    return None if raw is None else raw.decode("utf-8", "backslashreplace")


def list_to_json(counts: Counts, headings: Iterable[Heading]) -> dict[str, Any]:
    """What `userflow dlq list --json` prints."""
    names = ("topic", "reason_code", "status", "letters")
    return {
        "total": sum(count for *_, count in counts),
        "summary": [dict(zip(names, row, strict=True)) for row in counts],
        "letters": [_heading_to_json(heading) for heading in headings],
    }


def print_list(counts: Counts, headings: Sequence[Heading]) -> None:
    """The counts, then the letters."""
    if not counts:
        click.echo("There are no such dead letters.")
        return
    console = Console()
    summary = Table("topic", "reason", "status", "letters", box=None)
    for topic, reason, status, count in counts:
        summary.add_row(topic, reason, status, f"{count:,}")
    console.print(summary)
    total = sum(count for *_, count in counts)
    console.print(f"\n{total:,} dead letters; the newest {len(headings):,}:\n")
    # Places are for the clipboard: a terminal that is too narrow must not cut them.
    for heading in headings:
        bytes_ = "null" if heading.payload_bytes is None else f"{heading.payload_bytes:,} B"
        tries = f"  {heading.replays} tries" if heading.replays else ""
        click.echo(
            f"{_iso(heading.created_at)}  {heading.reason_code:<13}  {heading.status:<8}  "
            f"{heading.place}  {bytes_}{tries}"
        )


def letter_to_json(
    letter: Letter, tries: Mapping[Place, Sequence[Try]], now: Rejected | None
) -> dict[str, Any]:
    """All of a letter. `tries`: those of every letter of its chain, the first one first; `now`:
    what today's contract says against it.
    """
    places = [*tries]
    found = places.index(letter.place)
    return {
        "place": str(letter.place),
        "status": letter.status,
        "reason_code": letter.reason_code,
        "reason": letter.reason,
        "contract_version": letter.contract_version,
        "rejected_at": _iso(letter.created_at),
        "updated_at": _iso(letter.updated_at),
        "received_at": _received(letter.received_at_us),
        "key": text_of(letter.key),
        "payload": text_of(letter.payload),
        "payload_base64": None
        if letter.payload is None
        else base64.b64encode(letter.payload).decode(),
        "now": {"valid": now is None}
        | ({} if now is None else {"reason_code": now.reason_code, "reason": now.reason}),
        "replays": [_try_to_json(one) for one in tries[letter.place]],
        "comes_from": [str(place) for place in places[:found]],
        "came_back_as": [str(place) for place in places[found + 1 :]],
    }


def print_letter(shown: Mapping[str, Any]) -> None:
    """The same for people: nothing in it can steer the terminal."""
    now = shown["now"]
    says = "valid" if now["valid"] else f"{now['reason_code']}: {now['reason']}"
    lines = {
        "letter": shown["place"],
        "status": shown["status"],
        "rejected": f"{shown['rejected_at']}, contract version {shown['contract_version']}",
        "because": f"{shown['reason_code']}: {shown['reason']}",
        "today": says,
        "received": shown["received_at"],
        "key": shown["key"],
        "comes from": ", ".join(shown["comes_from"]) or None,
        "came back as": ", ".join(shown["came_back_as"]) or None,
    }
    for name, value in lines.items():
        if value is not None:
            click.echo(f"{name:<13} {_printable(value)}")
    for one in shown["replays"]:
        click.echo(f"{'replay':<13} {_printable(_try_line(one))}")
    payload = shown["payload"]
    click.echo("\n(no payload)" if payload is None else f"\n{_printable(payload)}")


def _heading_to_json(heading: Heading) -> dict[str, Any]:
    return {
        "place": str(heading.place),
        "topic": heading.topic,
        "partition": heading.partition,
        "offset": heading.offset,
        "reason_code": heading.reason_code,
        "status": heading.status,
        "rejected_at": _iso(heading.created_at),
        "updated_at": _iso(heading.updated_at),
        "payload_bytes": heading.payload_bytes,
        "replays": heading.replays,
    }


def _try_to_json(one: Try) -> dict[str, Any]:
    sent = None if one.sent_offset is None else f"{one.topic}/{one.partition}/{one.sent_offset}"
    return {
        "started_at": _iso(one.started_at),
        "ended_at": None if one.ended_at is None else _iso(one.ended_at),
        "outcome": one.outcome,
        "sent_to": sent,
        "contract_version": one.contract_version,
        "reason_code": one.reason_code,
        "reason": one.reason,
    }


def _try_line(one: Mapping[str, Any]) -> str:
    where = f" to {one['sent_to']}" if one["sent_to"] else ""
    why = f" ({one['reason_code']}: {one['reason']})" if one["reason_code"] else ""
    return f"{one['started_at']}  {one['outcome']}{where}{why}"


def _received(micros: int | None) -> str | None:
    try:
        return None if micros is None else to_iso(micros)
    except OverflowError:  # a header may say any number
        return str(micros)


def _printable(text: str) -> str:
    return UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
