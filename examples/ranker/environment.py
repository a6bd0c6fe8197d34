"""A Python of its own with MLflow and scikit-learn: their pins are not ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from infra.errors import SetupError
from infra.programs import PinnedPython, output

__all__ = ["Environment"]

PINS_FILE = Path(__file__).parent / "pins.txt"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true"}


class Environment:
    """Lies in the home, so it is made once."""

    def __init__(self, home: Path) -> None:
        self._python = PinnedPython(home / "examples" / "mlflow", PINS_FILE)

    def prepare(self, say: Callable[[str], object]) -> None:
        """Install what is pinned, unless it is there."""
        folder = self._python.folder
        note = f"installing MLflow and scikit-learn into {folder} (minutes, once) ..."
        self._python.install(say, note)

    def run(self, script: Path, *arguments: str) -> str:
        """What the script prints; raises `SetupError` with the end of its complaints."""
        command = [self._python.program("python"), str(script), *arguments]
        return output(command, SetupError, variables=QUIET)
