"""Signals: what speaks for an item, 0..1 each, and how much it weighs.

The score of the rules is the weighted sum, so every part of it can be shown. A signal that can be
said in a sentence may become the reason of an item: the one that weighs most in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Reason", "Signal", "Values", "parts_of", "reason_of"]

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """`of` takes what is known of the user and of the item; `code` and `sentence` are its reason.

    A signal without a sentence is never a reason: that a price is unknown speaks for nothing.
    """

    name: str
    weight: float
    doc: str
    of: Callable[[Values, Values], float]
    code: str | None = None
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """A code for programs and a sentence for people."""

    code: str
    sentence: str


LITTLE_KNOWN = Reason("in_catalogue", "It is in the catalogue; little is known of it yet.")


def parts_of(signals: Sequence[Signal], user: Values, item: Values) -> dict[str, float]:
    """What each signal adds to the score."""
    return {signal.name: signal.weight * signal.of(user, item) for signal in signals}


def reason_of(signals: Sequence[Signal], user: Values, item: Values) -> Reason:
    """The signal that adds most; the first declared one of several."""
    parts = parts_of(signals, user, item)
    said = [signal for signal in signals if signal.code and parts[signal.name] > 0]
    if not said:
        return LITTLE_KNOWN
    most = max(said, key=lambda signal: parts[signal.name])
    return Reason(str(most.code), most.sentence.format_map({**user, **item}))
