"""A Python of its own with MLflow and scikit-learn: their pins are not ours."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from infra.errors import SetupError
from infra.programs import output

__all__ = ["Environment"]

HERE = Path(__file__).parent
PINS_FILE = HERE / "pins.txt"


class Environment:
    """Lies in the home, so it is made once."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "examples" / "mlflow"

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self._folder / "venv" / "bin" / "python")

    def prepare(self, say: Callable[[str], object]) -> None:
        """Install what is pinned, unless it is there."""
        done = self._folder / "installed"
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / "lock"):
            if done.exists() and done.read_text() == PINS_FILE.read_text():
                return
            say(f"installing MLflow and scikit-learn into {self._folder} (minutes, once) ...")
            self._run([sys.executable, "-m", "venv", "--clear", str(self._folder / "venv")])
            pip = [self.python, "-m", "pip", "install", "--quiet", "--no-deps"]
            self._run([*pip, "--only-binary", ":all:", "-r", str(PINS_FILE)])
            done.write_text(PINS_FILE.read_text())

    def run(self, script: Path, *arguments: str) -> str:
        """What the script prints; raises `SetupError` with the end of its complaints."""
        return self._run([self.python, str(script), *arguments])

    def _run(self, command: list[str]) -> str:
        return output(command, SetupError, variables={"MLFLOW_DISABLE_TELEMETRY": "true"})
