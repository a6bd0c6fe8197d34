"""`userflow stream` as a process that is started again whenever it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

import psutil

from benchmarks.chaos.kills import jvm_of
from infra.errors import StreamFailed

__all__ = ["KeptStream", "run_once", "stream_command"]

LOOK_EVERY_S = 0.1
STOP_S = 120.0
# A JVM whose driver has died ends by itself; two of them must not share a checkpoint.
ORPHAN_S = 20.0
TAIL_LINES = 12


def stream_command(jobs: str, *options: str) -> list[str]:
    """The program as it is installed, or not."""
    return [sys.executable, "-m", "infra", "stream", "--jobs", jobs, *options]


def run_once(command: list[str], home: Path) -> None:
    """To its end; raises `StreamFailed` unless it ends well."""
    with _log(home).open("ab") as output:
        done = subprocess.run(
            command, stdout=output, stderr=output, env=_environment(home), check=False
        )
    if done.returncode:
        raise StreamFailed(f"The last run ended with {done.returncode}.\n{_tail(home)}")


class KeptStream:
    """`starts`: how often it was started; `orphans`: JVMs that outlived their driver for too long,
    and were ended.
    """

    def __init__(self, command: list[str], home: Path) -> None:
        self._command = command
        self._home = home
        self.starts = 0
        self.orphans = 0
        self._jvm: psutil.Process | None = None
        self._stop = threading.Event()
        self._process = self._start()
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    @property
    def pid(self) -> int:
        """The driver's Python process."""
        return self._process.pid

    def __enter__(self) -> Self:
        self._keeper.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._stop.set()
        self._keeper.join()
        self._end()

    def stop(self) -> None:
        """Let it finish its epoch; raises `StreamFailed` unless it ends well."""
        self._stop.set()
        self._keeper.join()
        if (code := self._end()) != 0:
            raise StreamFailed(f"The stream ended with {code} after SIGTERM.\n{_tail(self._home)}")

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        with _log(self._home).open("ab") as output:
            return subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(self._home),
                start_new_session=True,
            )

    def _keep(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            if self._process.poll() is None:
                self._jvm = self._jvm or jvm_of(self._process.pid)
                continue
            self._bury(self._jvm)
            self._jvm = None
            self._process = self._start()

    def _bury(self, jvm: psutil.Process | None) -> None:
        deadline = time.monotonic() + ORPHAN_S
        while jvm is not None and _lives(jvm):
            if time.monotonic() > deadline:
                self.orphans += 1
                jvm.kill()
                jvm.wait(ORPHAN_S)
            time.sleep(LOOK_EVERY_S)

    def _end(self) -> int:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def _environment(home: Path) -> dict[str, str]:
    own = {"USERFLOW_HOME": str(home), "USERFLOW_LAKE": "", "USERFLOW_CHECKPOINTS": ""}
    return {**os.environ, **own}


def _log(home: Path) -> Path:
    folder = home / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "stream.log"


def _tail(home: Path) -> str:
    """The home will be gone: what it says of the end is all that is left."""
    text = _log(home).read_text(encoding="utf-8", errors="replace")
    return "\n".join(text.splitlines()[-TAIL_LINES:])


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
