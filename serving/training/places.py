"""Where the lake is when nobody says so: as the settings have it, asked when a set is made."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["default_lake"]


def default_lake() -> str:
    """`USERFLOW_LAKE`, or `lake` in `USERFLOW_HOME`, which is `.userflow` when unset."""
    home = os.environ.get("USERFLOW_HOME") or ".userflow"
    return os.environ.get("USERFLOW_LAKE") or str(Path(home).expanduser() / "lake")
