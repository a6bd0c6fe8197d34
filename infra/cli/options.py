"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["options"]


def options(*given: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several options as one decorator, in the order of the help."""

    def decorate(command: Any) -> Any:
        for option in reversed(given):
            command = option(command)
        return command

    return decorate
