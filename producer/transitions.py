"""Behaviour as a table: state -> the steps out of it, each with a weight and a pause before it.

The table is data; a `Walk` is the same table with its weights summed up, so that one random number
chooses a step. A state without steps, and a step without an event, end the journey.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from random import Random

from producer.times import SECOND_US

__all__ = ["Step", "Table", "Walk", "reweighted"]


@dataclass(frozen=True, slots=True)
class Step:
    """`event` happens and leads to `to`; the pause before it lies within `pause_s`, mostly short."""

    event: str | None
    to: str
    weight: float
    pause_s: tuple[float, float] = (0.0, 0.0)


Table = Mapping[str, tuple[Step, ...]]


class Walk:
    """A table ready to be walked."""

    __slots__ = ("_rows",)

    def __init__(self, table: Table) -> None:
        self._rows = {state: _cumulative(steps) for state, steps in table.items()}

    def step(self, state: str, rng: Random) -> Step | None:
        """The next step out of `state`, None where the journey ends."""
        chance = rng.random()
        for bound, step in self._rows.get(state, ()):
            if chance < bound:
                return step if step.event else None
        return None

    @staticmethod
    def pause_us(step: Step, rng: Random) -> int:
        """Squaring the random number makes short pauses common and long ones possible."""
        shortest, longest = step.pause_s
        return int((shortest + (longest - shortest) * rng.random() ** 2) * SECOND_US)


def _cumulative(steps: tuple[Step, ...]) -> tuple[tuple[float, Step], ...]:
    total = sum(step.weight for step in steps)
    sums = [weight / total for weight in accumulate(step.weight for step in steps)]
    # Rounding may leave the last bound just under 1, and a step must always be found.
    return tuple(zip([*sums[:-1], 1.0], steps, strict=True)) if steps else ()


def reweighted(table: Table, event: str, factor: float) -> Table:
    """The same behaviour with `event` more or less likely everywhere."""
    return {
        state: tuple(
            replace(step, weight=step.weight * factor) if step.event == event else step
            for step in steps
        )
        for state, steps in table.items()
    }
