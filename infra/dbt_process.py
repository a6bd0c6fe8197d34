"""dbt in a process of its own, since it changes what is global: logging, adapters, the environment.

In ours it would start no sooner: of its 5 s of CPU 2 are imports and 3 parsing, and a command or a
task of Airflow runs it once. (A second run in one process would save 4 of them.)

The password goes by a private file, as libpq reads it, and is gone when dbt has ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from filelock import FileLock
from psycopg.conninfo import conninfo_to_dict

from infra.errors import MartsFailed
from infra.private_files import write_private

__all__ = ["PROJECT", "Dbt", "NodeResult", "Say"]

PROJECT = Path(__file__).resolve().parent.parent / "dbt_project"
# Not `-m dbt.cli.main`, which imports that module twice.
PROGRAM = "from dbt.cli.main import cli; cli()"
# Sorts of a day's events stay in memory.
WORK_MEM = "-c work_mem=64MB"
PAGE = "static_index.html"
NAMED = {"host", "port", "user", "dbname", "password", "options"}
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeResult:
    """What became of a model or a test; `rows`: how many a model wrote."""

    name: str
    kind: str
    status: str
    rows: int
    seconds: float
    message: str

    @property
    def has_failed(self) -> bool:
        """Whether it is to blame; what dbt skipped for it is not."""
        return self.status in ("error", "fail", "runtime error")


@dataclass(frozen=True, slots=True)
class Dbt:
    """dbt on one database; what it writes goes below `home`."""

    url: str
    home: Path

    def run(self, arguments: Sequence[str], *, place: str, say: Say) -> list[NodeResult]:
        """Run a command and return its results by node.

        `place` is its folder below `<home>/dbt`; runs of one place take turns. Raises `MartsFailed`
        where dbt ended without results.
        """
        written = self._written("run_results.json", arguments, place, say)
        return [_result(one) for one in json.loads(written)["results"]]

    def document(self, *, say: Say) -> Path:
        """Describe the models, and the tables as they are, on one page; returns the page."""
        self._written(PAGE, ["docs", "generate", "--static"], "docs", say)
        return self.home / "dbt" / "docs" / PAGE

    def _written(self, name: str, arguments: Sequence[str], place: str, say: Say) -> str:
        """What dbt wrote to this file of its folder."""
        target = self.home / "dbt" / place
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(target.with_suffix(".lock")), self._environment() as environment:
            file = target / name
            file.unlink(missing_ok=True)
            said = _run(_command(arguments, self.home, target), environment, say)
            if file.exists():
                return file.read_text("utf-8")
        log = self.home / "logs" / "dbt" / "dbt.log"
        raise MartsFailed(f"dbt ended without results: {said}. {log} has the rest.")

    @contextmanager
    def _environment(self) -> Iterator[dict[str, str]]:
        parts = conninfo_to_dict(self.url)
        with TemporaryDirectory(prefix="dbt-", dir=self.home) as folder:
            passwords = Path(folder) / "pgpass"
            write_private(passwords, _pgpass_line(str(parts.get("password") or "")))
            yield {**os.environ, **_environment(parts), "PGPASSFILE": str(passwords)}


def _command(arguments: Sequence[str], home: Path, target: Path) -> list[str]:
    places = {
        "--project-dir": PROJECT,
        "--profiles-dir": PROJECT,
        "--target-path": target,
        "--log-path": home / "logs" / "dbt",
    }
    options = [word for option, place in places.items() for word in (option, str(place))]
    return [sys.executable, "-P", "-c", PROGRAM, *arguments, *options]


def _environment(parts: Mapping[str, Any]) -> dict[str, str]:
    """The address for profiles.yml; whatever else the URL says (sslmode, …) for libpq itself."""
    others = {
        f"PG{name.replace('_', '').upper()}": str(value)
        for name, value in parts.items()
        if name not in NAMED
    }
    return {
        **others,
        "USERFLOW_DBT_HOST": str(parts.get("host") or ""),
        "USERFLOW_DBT_PORT": str(parts.get("port") or 5432),
        "USERFLOW_DBT_USER": str(parts.get("user") or ""),
        "USERFLOW_DBT_DATABASE": str(parts.get("dbname") or ""),
        "PGOPTIONS": f"{parts.get('options') or ''} {WORK_MEM}".strip(),
    }


def _pgpass_line(password: str) -> str:
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:*:{escaped}\n"


def _run(command: Sequence[str], environment: Mapping[str, str], say: Say) -> str:
    """Run to the end, saying each line; returns the last one."""
    last = "it said nothing"
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        umask=0o077,
    ) as process:
        for line in process.stdout or ():
            if text := line.strip():
                last = text
                say(text)
    return last


def _result(found: Mapping[str, Any]) -> NodeResult:
    kind, _, name = str(found["unique_id"]).split(".", 2)
    return NodeResult(
        name=name,
        kind=kind,
        status=str(found["status"]),
        rows=max(int(found["adapter_response"].get("rows_affected") or 0), 0),
        seconds=float(found["execution_time"]),
        message=str(found["message"] or ""),
    )
