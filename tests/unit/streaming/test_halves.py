"""Whatever a store refuses, it gets everything else, in few tries."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.sinks.halves import in_halves


class Refusing:
    """Takes a part only if nothing of it is refused."""

    def __init__(self, refused: set[int]) -> None:
        self.refused, self.taken, self.tries = refused, set[int](), 0

    def put(self, part: range) -> None:
        self.tries += 1
        if self.refused & {*part}:
            raise ValueError("no")
        self.taken |= {*part}


@given(st.integers(0, 300), st.sets(st.integers(0, 299), max_size=5))
def test_all_others_are_taken(count: int, refused: set[int]) -> None:
    store, refused = Refusing(refused), {number for number in refused if number < count}
    left = in_halves(range(count), store.put, lambda error: isinstance(error, ValueError))
    assert [part.start for part, _ in left] == sorted(refused)
    assert store.taken == {*range(count)} - refused
    assert store.tries <= 1 + len(refused) * 2 * math.ceil(math.log2(max(count, 2)) + 1)


def test_what_is_no_refusal_is_raised() -> None:
    with pytest.raises(ValueError, match="no"):
        in_halves(range(9), Refusing({3}).put, lambda _: False)
