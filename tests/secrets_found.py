"""Where secrets can be seen: files, command lines, environments."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

__all__ = ["files_with", "passwords", "processes_showing", "readable_by_others"]


def passwords(home: Path) -> list[str]:
    """The generated passwords of a home."""
    return list(json.loads((home / "services" / "secrets.json").read_text()).values())


def files_with(secrets: Iterable[str], folder: Path) -> set[str]:
    """The files below the folder that hold a secret, by their path in it."""
    wanted = [secret.encode() for secret in secrets]
    found = {path: path.read_bytes() for path in _files(folder)}
    return {
        str(path.relative_to(folder))
        for path, content in found.items()
        if any(secret in content for secret in wanted)
    }


def readable_by_others(paths: Iterable[Path]) -> set[Path]:
    """Those that the group or everybody may read."""
    return {path for path in paths if stat.S_IMODE(path.stat().st_mode) & 0o077}


def processes_showing(secrets: Iterable[str], roots: Iterable[int]) -> list[str]:
    """The processes and their children, by name, that show a secret."""
    wanted = list(secrets)
    return [
        process.name()
        for root in roots
        for process in _family(root)
        if any(secret in text for text in _visible(process) for secret in wanted)
    ]


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _visible(process: psutil.Process) -> list[str]:
    """Its command line and environment; nothing of one that has just ended."""
    try:
        return [*process.cmdline(), *process.environ().values()]
    except psutil.NoSuchProcess:
        return []
