"""The project's own code in one file, for executors that have the packages it needs but not itself.

It is made of the modules that the driver itself imports, wherever they are installed, so that both
ends always run the same code.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from zipfile import ZipFile, ZipInfo

__all__ = ["write_code_archive"]

# What tasks import. The stores and the wiring are the driver's business.
PACKAGES = ("features", "streaming")


def write_code_archive(folder: Path) -> Path:
    """Write the archive and return its path.

    It is named after its content: a driver that runs goes on serving its own when the project has
    been upgraded meanwhile, and drivers that share the folder write the same bytes.
    """
    content = _zipped()
    target = folder / f"userflow-{sha256(content).hexdigest()[:16]}.zip"
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as temporary:
        temporary.write(content)
    Path(temporary.name).replace(target)
    return target


def _zipped() -> bytes:
    buffer = io.BytesIO()
    with ZipFile(buffer, "w") as archive:
        for package in PACKAGES:
            for name, content in _contents(files(package), package):
                # Without the date of today: the same code is the same bytes.
                archive.writestr(ZipInfo(name), content)
    return buffer.getvalue()


def _contents(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        inside = f"{name}/{entry.name}"
        if entry.is_file():
            yield inside, entry.read_bytes()
        elif entry.name != "__pycache__":
            yield from _contents(entry, inside)
