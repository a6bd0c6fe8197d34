"""Programs of environments that are not ours, run to their end: peers of benchmarks, examples."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from infra.errors import UserflowError

__all__ = ["TAIL_LINES", "output"]

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
