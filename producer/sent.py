"""What the producer hands to a sink: one record and when it is due.

`due_us` is on the same clock as `event_at_us`; a sink never looks at it, the pace does. The bytes
are final: whoever resends them sends the same event.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["KINDS", "Kind", "Sent"]

Kind = Literal["clean", "bad", "late", "duplicate"]
KINDS: tuple[Kind, ...] = ("clean", "bad", "late", "duplicate")


class Sent(msgspec.Struct, frozen=True, gc=False):
    """One record; a frozen struct because a dataclass costs as much as the event itself.

    `received_at_ms` becomes the header of that name: it is set when the record's time is not the
    wall clock's, so that the time bounds are judged as they would have been then.
    """

    topic: str
    key: bytes | None
    value: bytes
    event_at_us: int
    due_us: int
    kind: Kind = "clean"
    expected_reason: str | None = None
    received_at_ms: int | None = None
