"""Feast as a peer: its environment, set up once, and its own feature server as a process.

The environment lies in the home that is set, not in the benchmark's temporary one: installing it
takes a minute. What is measured is Feast's Python server as one would tune it: one worker that is
never restarted, no access log, uvloop, httptools and hiredis, a registry that is read seldom.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit

import polars as pl

from benchmarks.home import Say
from infra.errors import SetupError, StreamFailed
from infra.programs import TAIL_LINES, PinnedPython, output
from infra.stack.ports import LOOPBACK
from serving.feast.files import write_files
from serving.feast.repository import Repository, repository_files

__all__ = ["FEAST_VERSION", "FeastEnvironment", "FeastServer"]

HERE = Path(__file__).parent
PINS_FILE, LOADER = HERE / "feast.txt", HERE / "feast_load.py"
FEAST_VERSION = "0.67.0"
START_S = 120.0
LOOK_EVERY_S = 0.2
# Its telemetry would call home.
QUIET = {"FEAST_USAGE": "False", "FEAST_TELEMETRY": "False", "PYTHONPATH": ""}
# DuckDB installs an extension only from where it would fetch it, or from a file.
DELTA = """
import duckdb, duckdb_extension_delta, pathlib
package = pathlib.Path(duckdb_extension_delta.__file__).parent
(file,) = package.glob("extensions/*/delta.duckdb_extension")
duckdb.sql(f"INSTALL '{file}'")
"""
STORE = """\
project: userflow
provider: local
registry:
  path: data/registry.db
  cache_ttl_seconds: 3600
online_store:
  type: redis
  connection_string: {connection}
  skip_dedup: true
offline_store:
  type: duckdb
entity_key_serialization_version: 3
"""


class FeastEnvironment:
    """A Python of its own, with the packages that are pinned."""

    def __init__(self, home: Path) -> None:
        self._python = PinnedPython(home / "peers" / f"feast-{FEAST_VERSION}", PINS_FILE)
        # DuckDB looks for its extensions in the home of who runs it.
        self._home = {"HOME": str(self._python.folder / "home")}

    def prepare(self, say: Say) -> None:
        """Install it, unless it is there."""
        note = f"installing Feast {FEAST_VERSION} into {self._python.folder} (a minute, once) ..."
        self._python.install(say, note, self._finish)

    def _finish(self) -> None:
        Path(self._home["HOME"]).mkdir(exist_ok=True)
        output([self.program("python"), "-c", DELTA], SetupError, variables=self._home)

    def program(self, name: str) -> str:
        """A program of the environment."""
        return self._python.program(name)

    def run(
        self,
        command: list[str],
        *,
        folder: Path,
        given: str = "",
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> str:
        """What one of its programs prints; raises `StreamFailed` when it fails."""
        program, *arguments = command
        return output(
            [self.program(program), *arguments],
            StreamFailed,
            folder=folder,
            given=given,
            variables={**QUIET, **self._home, **variables},
        )


class FeastServer:
    """Feast's server over the same Redis, in a database of its own, with the same rows."""

    def __init__(self, environment: FeastEnvironment, folder: Path, redis_url: str) -> None:
        self._environment, self._folder = environment, folder
        self._redis_url = redis_url

    def load(self, view: str, rows: pl.DataFrame) -> None:
        """Make the repository, and let Feast write the rows into its store."""
        files = repository_files(Repository(api="", lake=str(self._folder / "lake")))
        store = STORE.format(connection=_connection(self._redis_url))
        write_files(self._folder, {**files, "feature_store.yaml": store})
        self._environment.run(["feast", "apply"], folder=self._folder)
        path = self._folder / "rows.parquet"
        rows.drop("by_event").with_columns(available_at=pl.col("event_at")).write_parquet(path)
        given = json.dumps({"view": view, "path": str(path)})
        self._environment.run(["python", "-P", str(LOADER)], folder=self._folder, given=given)

    @contextmanager
    def serving(self, port: int) -> Iterator[None]:
        """One worker, for as long as the block lasts."""
        options = ["--port", str(port), "--workers", "1", "--no-access-log"]
        options += ["--max-requests", "0", "--max-requests-jitter", "0"]
        options += ["--registry_ttl_sec", "3600", "--keep-alive-timeout", "300"]
        log = self._folder / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [self._environment.program("feast"), "serve", *options],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **QUIET},
            )
        try:
            wait_until_healthy(f"http://{LOOPBACK}:{port}/health", process, log)
            yield
        finally:
            end(process)


def wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when it answers; raises `StreamFailed` when it has ended, or takes too long."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 - loopback
                return
        except OSError:
            time.sleep(LOOK_EVERY_S)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
    raise StreamFailed(f"The server at {url} does not answer; its log ends with:\n{tail}")


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end; make it end."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _connection(url: str) -> str:
    """As Feast spells it; ours is database 0, its own is 1."""
    parts = urlsplit(url)
    password = f",password={parts.password}" if parts.password else ""
    return f"{parts.hostname}:{parts.port},db=1{password}"
