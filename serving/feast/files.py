"""Writing files over our own only: the first line of each says whose it is, and what it was.

A file that another program or a person wrote, or changed since, is left alone and named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

__all__ = ["ExportRefused", "Written", "write_files"]

MARK = "# Written by `userflow feast export`, sha256 "


class ExportRefused(Exception):
    """A file is in the way that was not written by an export, or cannot be written."""


@dataclass(frozen=True, slots=True)
class Written:
    """The files in their order, and which of them are not what they were."""

    files: tuple[Path, ...]
    changed: tuple[Path, ...]


def write_files(folder: Path, texts: Mapping[str, str], *, force: bool = False) -> Written:
    """Write all of them or, when one is in the way and `force` is not said, none."""
    marked = {folder / name: _marked(text) for name, text in texts.items()}
    try:
        before = {path: _found(path) for path in marked}
        in_the_way = [path for path, text in before.items() if text and not _is_ours(text)]
        if in_the_way and not force:
            raise ExportRefused(
                f"{', '.join(map(str, in_the_way))} was written or changed by somebody else, so "
                "nothing was written: say --force to replace it, or name another folder."
            )
        changed = tuple(path for path, text in marked.items() if before[path] != text)
        folder.mkdir(parents=True, exist_ok=True)
        for path in changed:
            path.write_text(marked[path], encoding="utf-8")
    except OSError as error:
        raise ExportRefused(f"{folder} cannot be written: {error.strerror}.") from error
    return Written(tuple(marked), changed)


def _marked(text: str) -> str:
    return f"{MARK}{_digest(text)}\n{text}"


def _is_ours(text: str) -> bool:
    mark, _, rest = text.partition("\n")
    return mark == f"{MARK}{_digest(rest)}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


def _found(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
