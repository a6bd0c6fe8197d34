"""Programs of environments that are not ours, run to their end: peers of benchmarks, examples."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from filelock import FileLock

from infra.errors import SetupError, UserflowError

__all__ = ["TAIL_LINES", "PinnedPython", "output"]

LONGEST_S = 900.0
TAIL_LINES = 15


def output(
    command: list[str],
    error: type[UserflowError],
    *,
    folder: Path | None = None,
    given: str = "",
    variables: Mapping[str, str] = MappingProxyType({}),
    longest_s: float = LONGEST_S,
) -> str:
    """What the command prints; raises `error` with the end of its complaints when it fails.

    It finds nothing of this project: its environment is its own. `subprocess.TimeoutExpired` is
    raised when it takes longer than `longest_s`.
    """
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        input=given,
        timeout=longest_s,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": "", **variables},
    )
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).splitlines()[-TAIL_LINES:])
        raise error(f"{' '.join(command[:4])} ended with exit code {done.returncode}:\n{tail}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class PinnedPython:
    """A Python of its own in `folder`, with the packages that the file `pins` names."""

    folder: Path
    pins: Path

    def program(self, name: str) -> str:
        """One of its programs."""
        return str(self.folder / "venv" / "bin" / name)

    def install(
        self, say: Callable[[str], object], note: str, finish: Callable[[], object] = lambda: None
    ) -> None:
        """Make it, unless it is there with these pins; `note`: what is said before. `finish` does
        what no package does; raises `SetupError`, and begins anew the next time.
        """
        done = self.folder / "installed"
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / "lock"):
            if done.exists() and done.read_text() == self.pins.read_text():
                return
            say(note)
            output([sys.executable, "-m", "venv", "--clear", str(self.folder / "venv")], SetupError)
            pip = [self.program("python"), "-m", "pip", "install", "--quiet", "--no-deps"]
            output([*pip, "--only-binary", ":all:", "-r", str(self.pins)], SetupError)
            finish()
            done.write_text(self.pins.read_text())
