"""`userflow stream` as a process of the demo: started, watched, stopped by its pid."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from infra.errors import StreamFailed

__all__ = ["StreamProcess", "streaming"]

# The same program as this one, wherever it is installed or not.
USERFLOW = (sys.executable, "-m", "infra")
START_S = 180.0
STOP_S = 120.0
LOOK_EVERY_S = 0.2
TAIL_LINES = 12


class StreamProcess:
    """The running stream and its log, one JSON document a line."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.log = log

    def wait_until_started(self) -> None:
        """Return when its queries run."""
        self.wait(
            lambda: any(line.get("event") == "started" for line in self.lines()),
            timeout=START_S,
            what="start",
        )

    def wait(self, is_so: Callable[[], bool], *, timeout: float, what: str) -> None:
        """Look until it is so; raises `StreamFailed` when the process ends first or time is up."""
        deadline = time.monotonic() + timeout
        while not is_so():
            if self.process.poll() is not None:
                raise self._failed(f"ended with exit code {self.process.returncode}")
            if time.monotonic() > deadline:
                raise self._failed(f"did not {what} within {timeout:.0f} s")
            time.sleep(LOOK_EVERY_S)

    def wait_until_done(self) -> None:
        """Wait until it ends by itself; raises `StreamFailed` unless it ends well."""
        if (code := self.process.wait()) != 0:
            raise self._failed(f"ended with exit code {code}")

    def lines(self) -> Iterator[dict[str, Any]]:
        """What it has logged so far; whatever else it printed is left out."""
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("{"):
                with suppress(json.JSONDecodeError):  # half written, or not ours
                    yield json.loads(line)

    def stop(self) -> None:
        """Ask it to end and wait for it; raises `StreamFailed` unless it ends well."""
        code = self._end()
        if code != 0:
            raise self._failed(f"ended with exit code {code}, expected 0 after SIGTERM")

    def kill(self) -> None:
        """Make sure that it is gone."""
        if self.process.poll() is None:
            self._end()

    def _end(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def _failed(self, problem: str) -> StreamFailed:
        text = self.log.read_text(encoding="utf-8", errors="replace")
        tail = "\n".join(text.splitlines()[-TAIL_LINES:])
        return StreamFailed(f"The stream {problem}; its log {self.log} ends with:\n{tail}")


@contextmanager
def streaming(
    home: Path, *options: str, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[StreamProcess]:
    """Start all jobs, or what the `options` of `userflow stream` say; at the end of the block
    nothing of it runs any more.
    """
    log = home / "logs" / "stream.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    own = {"USERFLOW_HOME": str(home), "USERFLOW_LOG_LEVEL": "INFO"}
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches the demo alone, which then ends the stream in order.
        process = subprocess.Popen(
            [*USERFLOW, "stream", *options],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **own, **environment},
            start_new_session=True,
        )
    stream = StreamProcess(process, log)
    try:
        yield stream
    finally:
        stream.kill()
