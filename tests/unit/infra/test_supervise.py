"""What dies is started again; what ends well, or was called wrongly, is not."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from infra.errors import CheckpointMismatch
from infra.supervise import supervise

NO_PAUSES = (0.0, 0.0)


def program(body: str) -> list[str]:
    return [sys.executable, "-c", body]


def dying(times: int, how: str, notes: Path) -> list[str]:
    """A program that notes its starts and dies until it has been started more often than that."""
    return program(f"""
import os, pathlib, sys
notes = pathlib.Path({str(notes)!r})
notes.write_text((notes.read_text() if notes.exists() else "") + "x")
if len(notes.read_text()) <= {times}: {how}
""")


@pytest.mark.parametrize(
    ("how", "said"), [("sys.exit(1)", "exit code 1"), ("os.kill(os.getpid(), 9)", "SIGKILL")]
)
def test_what_dies_is_started_again_until_it_ends_well(how: str, said: str, tmp_path: Path) -> None:
    notes = tmp_path / "starts"
    with capture_logs() as lines:
        code = supervise(dying(2, how, notes), threading.Event(), NO_PAUSES)
    assert code == 0
    assert notes.read_text() == "xxx"
    assert [line["how"] for line in lines if line["event"] == "died"] == [said, said]


def test_the_pauses_grow_up_to_the_last(tmp_path: Path) -> None:
    with capture_logs() as lines:
        command = dying(4, "sys.exit(1)", tmp_path / "starts")
        supervise(command, threading.Event(), (0.0, 0.01, 0.02))
    pauses = [line["again_in_s"] for line in lines if line["event"] == "died"]
    assert pauses == [0.0, 0.01, 0.02, 0.02]


@pytest.mark.parametrize("code", [2, CheckpointMismatch.exit_code])
def test_what_no_restart_would_mend_is_not_started_again(code: int) -> None:
    with capture_logs() as lines:
        assert supervise(program(f"raise SystemExit({code})"), threading.Event(), NO_PAUSES) == code
    assert [line["how"] for line in lines if line["event"] == "gave_up"] == [f"exit code {code}"]


def test_a_stop_ends_the_program_in_order(tmp_path: Path) -> None:
    notes = tmp_path / "ready"
    body = f"""
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
pathlib.Path({str(notes)!r}).touch()
time.sleep(60)
"""
    stop = threading.Event()
    threading.Thread(target=_stop_when_there, args=(notes, stop)).start()
    assert supervise(program(body), stop, NO_PAUSES) == 0


def test_a_stop_during_a_pause_starts_nothing_more() -> None:
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    assert supervise(program("raise SystemExit(1)"), stop, (60.0,)) == 0


def _stop_when_there(notes: Path, stop: threading.Event) -> None:
    while not notes.exists():
        time.sleep(0.01)
    stop.set()
