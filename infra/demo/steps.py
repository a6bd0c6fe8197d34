"""What the demo does right now, on standard error: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["Steps"]


class Steps:
    """Each step is told when it has ended, with how long it took."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Show that it goes on, then that it is done."""
        began = time.monotonic()
        with self._console.status(what):
            yield
        self._done(what, began)

    @contextmanager
    def sending(self, what: str, total: int) -> Iterator[Callable[[int], object]]:
        """A progress bar; what it yields takes how many more were sent."""
        began = time.monotonic()
        columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        hidden = not self._console.is_terminal
        with Progress(*columns, console=self._console, transient=True, disable=hidden) as bar:
            task = bar.add_task(what, total=total)
            yield lambda sent: bar.advance(task, sent)
        self._done(what, began)

    def say(self, text: str) -> None:
        """One line."""
        self._console.print(text, highlight=False)

    def _done(self, what: str, began: float) -> None:
        took = time.monotonic() - began
        self._console.print(f"[bold green]done[/]  {what}  {took:.1f} s", highlight=False)
