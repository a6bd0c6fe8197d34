"""The archive is the installed code, and always the same bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import features
import streaming
from streaming.code_archive import write_code_archive


def test_the_same_code_is_the_same_file(tmp_path: Path) -> None:
    first = write_code_archive(tmp_path)
    content = first.read_bytes()
    assert write_code_archive(tmp_path) == first
    assert first.read_bytes() == content
    assert list(tmp_path.iterdir()) == [first]


def test_every_module_is_in_it_and_nothing_compiled(tmp_path: Path) -> None:
    names = set(ZipFile(write_code_archive(tmp_path)).namelist())
    assert not [name for name in names if "__pycache__" in name]
    for package in (features, streaming):
        folder = Path(str(package.__file__)).parent
        modules = {str(path.relative_to(folder.parent)) for path in folder.rglob("*.py")}
        assert modules
        assert modules <= names


def test_it_can_be_imported_from(tmp_path: Path) -> None:
    archive = write_code_archive(tmp_path)
    program = (
        "import features.contracts, features.views, streaming.ports\n"
        "print(features.contracts.__file__, features.views.__file__, streaming.ports.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": archive.name},
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(place.startswith(str(archive)) for place in done.stdout.split())
