"""A process that starts another one again when it dies, after a pause that grows."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Sequence

import structlog

from infra.errors import CheckpointMismatch

__all__ = ["WRONG_USE", "supervise"]

# The first death says nothing about the next try, and every second of it is one without features.
PAUSES_S = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
# Who lived that long has not died of its start.
LIVED_S = 30.0
LOOK_EVERY_S = 0.1
WRONG_USE = 2
# No restart would mend these; the program has said in a sentence what would.
FINAL = (WRONG_USE, CheckpointMismatch.exit_code)
log = structlog.get_logger()


def supervise(
    command: Sequence[str], stop: threading.Event, pauses_s: Sequence[float] = PAUSES_S
) -> int:
    """Run `command` until it ends well, or `stop`, which it is told by SIGTERM.

    Returns its exit code: 0, 2 where it was called wrongly, 3 where it refused its checkpoint.
    """
    deaths = 0
    while True:
        started = time.monotonic()
        code = _run(command, stop)
        if stop.is_set() or code == 0:
            return code
        if code in FINAL:
            log.error("gave_up", how=_how(code))
            return code
        deaths = 1 if time.monotonic() - started > LIVED_S else deaths + 1
        pause = pauses_s[min(deaths, len(pauses_s)) - 1]
        log.error("died", how=_how(code), deaths=deaths, again_in_s=pause)
        if stop.wait(pause):
            return 0


def _run(command: Sequence[str], stop: threading.Event) -> int:
    # A session of its own: Ctrl-C reaches us alone, who end it in order.
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    log.info("supervising", pid=process.pid)
    while process.poll() is None:
        if stop.wait(LOOK_EVERY_S):
            process.terminate()
            return process.wait()
    return process.returncode


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
