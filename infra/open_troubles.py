"""What is open, in a file: so that each trouble is told once, and once more when it is over.

A file of the home and not a table, since PostgreSQL may be the trouble. What Slack did not take
stays as it was, and is told the next time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.private_files import write_private

__all__ = ["OpenTroubles"]


@dataclass(frozen=True, slots=True)
class OpenTroubles:
    """Key -> title of what was open at the last look."""

    file: Path

    def read(self) -> dict[str, str]:
        """Nothing where nothing was written, or nothing that can be read."""
        try:
            known: dict[str, str] = json.loads(self.file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return known

    def change(self, *, told: Mapping[str, str], over: Iterable[str]) -> None:
        """Take down what was told to have begun and to be over."""
        gone = set(over)
        open_now = {**self.read(), **told}
        known = {key: title for key, title in open_now.items() if key not in gone}
        write_private(self.file, json.dumps(known, indent=2) + "\n")
