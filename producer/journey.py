"""The seam: the engine knows time and order, the domains know behaviour."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Domain", "Emitted", "Journey"]

# topic, key, value, and the microseconds until the next step; None when the journey is over.
Emitted = tuple[str, bytes | None, bytes, int | None]


class Journey(Protocol):
    """One session, order or ticket: asked for its next event when that is due."""

    def step(self, at_us: int) -> Emitted:
        """What happens at that moment."""


class Domain(Protocol):
    """Opens journeys."""

    def open(self, at_us: int) -> Journey:
        """A journey whose first step is at that moment."""
