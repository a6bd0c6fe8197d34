"""A service: a background process that outlives the command which started it.

Invariant: a process is ours only if the pid file's pid still has the start mark that was written
with it, so a pid that the system gave to another program is never signalled.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from infra.errors import ServiceError
from infra.private_files import write_private

__all__ = ["Probe", "Service", "identity", "start_mark"]

Probe = Callable[[], str | None]  # None once the service answers, else why it does not
POLL_SECONDS = 0.1
REAPED_WITHIN = 15
LOG_LIMIT = 10 * 1024 * 1024
TAIL_LINES = 12
# The shell leaves at once, so the service belongs to init and can never become our zombie.
LAUNCH = '"$@" >&2 & echo $!'


def start_mark(pid: int) -> str | None:
    """What tells this process from any other that had or will have its pid; None if it is dead."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return _clock_free_mark(pid) or f"{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return None


def _clock_free_mark(pid: int) -> str | None:
    """Boot id and start tick: unlike a creation time they survive a step of the clock (Linux)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return f"{boot}:{stat.rpartition(')')[2].split()[19]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How to start, find and stop one background process."""

    name: str
    directory: Path
    command: tuple[str, ...]
    probe: Probe
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM

    @property
    def pid_file(self) -> Path:
        """Names the process that is ours."""
        return self.directory / "process.json"

    @property
    def log_file(self) -> Path:
        """Takes what the process prints."""
        return self.directory / "service.log"

    def pid(self) -> int | None:
        """The pid of our process if it is alive."""
        try:
            record = json.loads(self.pid_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        mark = start_mark(record["pid"])
        return record["pid"] if mark is not None and mark == record["mark"] else None

    def start(self, timeout: float) -> None:
        """Start the process unless it runs, and return when it answers."""
        if self.pid() is None:
            self._wait_until_reaped()
            pid = self._launch()
            record = {"pid": pid, "mark": start_mark(pid)}
            write_private(self.pid_file, json.dumps(record))
        self._wait_until_ready(timeout)

    def _launch(self) -> int:
        self._rotate_log()
        self.log_file.touch(mode=0o600)
        with self.log_file.open("ab") as log:
            shell = subprocess.run(
                ["/bin/sh", "-c", LAUNCH, "sh", *self.command],
                check=True,
                cwd=self.directory,
                env={**_base_environment(), **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                umask=0o077,
                **identity(self.user),
            )
        return int(shell.stdout)

    def _wait_until_reaped(self) -> None:
        """A killed process stays in the table until init has noticed, and PostgreSQL would take it
        for a running one.
        """
        with contextlib.suppress(FileNotFoundError, ValueError, psutil.NoSuchProcess):
            last = psutil.Process(json.loads(self.pid_file.read_text(encoding="utf-8"))["pid"])
            deadline = time.monotonic() + REAPED_WITHIN
            while last.status() == psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)

    def _rotate_log(self) -> None:
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_LIMIT:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))

    def _wait_until_ready(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while (reason := self.probe()) is not None:
            if self.pid() is None:
                raise ServiceError(f"{self.name} ended while it started. {self._log_tail()}")
            if time.monotonic() > deadline:
                self.stop()
                raise ServiceError(
                    f"{self.name} did not answer within {timeout:g} s ({reason}); it was stopped. "
                    f"Raise USERFLOW_START_TIMEOUT if the machine is slow. {self._log_tail()}"
                )
            time.sleep(POLL_SECONDS)

    def _log_tail(self) -> str:
        lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
        return f"The end of {self.log_file}:\n" + "\n".join(lines[-TAIL_LINES:])

    def stop(self, timeout: float = 30) -> None:
        """Ask the process to end, wait, and kill it if it does not; fine when nothing runs."""
        pid = self.pid()
        if pid is not None:
            _signal(pid, self.stop_signal)
            if not self._is_gone_within(timeout):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(os.getpgid(pid), signal.SIGKILL)
                self._is_gone_within(timeout)
        self.pid_file.unlink(missing_ok=True)

    def _is_gone_within(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while self.pid() is not None:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def identity(user: str | None) -> dict[str, Any]:
    """The arguments that make `subprocess` run as another account, with none of our groups."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def _base_environment() -> dict[str, str]:
    """What a service inherits: nothing of ours that could hold a secret or change its ways."""
    kept = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")
    # A JVM in the POSIX locale cannot open a path that has letters outside ASCII.
    return {name: os.environ[name] for name in kept if name in os.environ} | {"LC_ALL": "C.UTF-8"}
