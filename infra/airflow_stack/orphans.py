"""What a scheduler that was killed leaves behind: workers that wait for its next word for ever.

They are known by the folder they run in, which is one part's of one home. A task that still runs
among them is ended too: the next scheduler does not adopt it, and would run it beside itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

__all__ = ["end_orphans"]

PATIENCE_S = 5


def end_orphans(folder: Path) -> int:
    """End every process of Airflow that runs in `folder`; returns how many there were."""
    left = list(_airflow_in(folder))
    for process in left:
        process.terminate()
    _, deaf = psutil.wait_procs(left, timeout=PATIENCE_S)
    for process in deaf:
        process.kill()
    psutil.wait_procs(deaf, timeout=PATIENCE_S)
    return len(left)


def _airflow_in(folder: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and _is_airflow(process.cmdline()):
                yield process
        except psutil.Error:  # it ends just now, or is somebody else's
            continue


def _is_airflow(command: list[str]) -> bool:
    """Airflow gives its processes titles, which begin with its name, or is a module of Python.

    A title comes as one word or as several, as it happens to end.
    """
    return " ".join(command).startswith("airflow ") or "airflow" in command[1:4]
