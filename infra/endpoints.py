"""Where everything is: `endpoints.json` in the home, the one file that tells programs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.errors import StackNotUp
from infra.private_files import write_private

__all__ = ["ENDPOINTS_FILE", "Endpoints"]

ENDPOINTS_FILE = "endpoints.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """The addresses, with the passwords inside them: never log one of these."""

    kafka: str
    postgres: str
    redis: str
    api: str | None = None
    api_key: str | None = None
    lake: str
    dashboard: str | None = None

    @classmethod
    def read(cls, home: Path) -> Endpoints:
        """Read the file of this home."""
        path = home / ENDPOINTS_FILE
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise StackNotUp(f"There is no {path}: run `userflow up` first.") from error
        except (ValueError, TypeError) as error:
            raise StackNotUp(
                f"{path} cannot be read ({error}): run `userflow up` again."
            ) from error

    def write(self, home: Path) -> None:
        """Replace the file of this home; only its owner can read it.

        There is a dashboard in it for as long as one is served.
        """
        known = {name: at for name, at in asdict(self).items() if at or name != "dashboard"}
        write_private(home / ENDPOINTS_FILE, json.dumps(known, indent=2) + "\n")

    def __repr__(self) -> str:
        return f"Endpoints(kafka={self.kafka!r}, lake={self.lake!r}, …)"
