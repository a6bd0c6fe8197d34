"""Finding what a store refuses: everything at once, and where that fails in halves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

__all__ = ["in_halves"]


class _Items(Protocol):
    def __len__(self) -> int: ...
    def __getitem__(self, part: slice, /) -> Any: ...


Items = TypeVar("Items", bound=_Items)


def in_halves(
    items: Items, put: Callable[[Items], None], refuses: Callable[[Exception], bool]
) -> list[tuple[Items, Exception]]:
    """Put them all; returns those that are refused one by one, each with what was raised.

    `refuses`: whether an error is about what is put, and not about the store: that is raised. What
    was put before a part was refused may be put again.
    """
    if not len(items):
        return []
    try:
        put(items)
    except Exception as error:
        if not refuses(error):
            raise
        if len(items) == 1:
            return [(items, error)]
        middle = len(items) // 2
        halves = items[:middle], items[middle:]
        return [one for half in halves for one in in_halves(half, put, refuses)]
    return []
