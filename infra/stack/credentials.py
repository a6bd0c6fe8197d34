"""Passwords of the embedded services: made once, kept in one private file, passed by files only."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from infra.private_files import write_private

__all__ = ["Credentials"]


class Credentials:
    """The passwords of one home by name."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def known(self) -> dict[str, str]:
        """The passwords made so far."""
        if not self._file.exists():
            return {}
        passwords: dict[str, str] = json.loads(self._file.read_text(encoding="utf-8"))
        return passwords

    def ensure(self, names: Sequence[str]) -> dict[str, str]:
        """The passwords of these names; those that do not exist yet are made."""
        known = self.known()
        missing = [name for name in names if name not in known]
        if missing:
            known |= {name: secrets.token_urlsafe(24) for name in missing}
            write_private(self._file, json.dumps(known, indent=2) + "\n")
        return {name: known[name] for name in names}
