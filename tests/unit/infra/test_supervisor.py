"""A service is started detached, found again, never mistaken and always stopped."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.errors import ServiceError
from infra.stack.supervisor import Service, start_mark

SLEEPER = (sys.executable, "-c", "import time; print('awake', flush=True); time.sleep(60)")


def answers() -> str | None:
    return None


def service(folder: Path, command: tuple[str, ...] = SLEEPER, **more: object) -> Service:
    return Service(name="sleeper", directory=folder, command=command, **{"probe": answers, **more})


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Service]:
    sleeper = service(tmp_path)
    yield sleeper
    sleeper.stop(timeout=5)


def test_a_started_service_is_found_by_another_object_and_stopped_by_it(sleeper: Service) -> None:
    sleeper.start(timeout=5)
    pid = sleeper.pid()
    assert pid is not None
    assert os.getsid(pid) != os.getsid(0)
    again = service(sleeper.directory)
    assert again.pid() == pid
    again.stop(timeout=5)
    assert start_mark(pid) is None
    assert not again.pid_file.exists()


def test_a_start_of_what_runs_starts_nothing(sleeper: Service) -> None:
    sleeper.start(timeout=5)
    before = sleeper.pid()
    sleeper.start(timeout=5)
    assert sleeper.pid() == before


def test_a_recycled_pid_is_never_taken_for_ours(tmp_path: Path) -> None:
    mine = service(tmp_path)
    mine.pid_file.write_text(json.dumps({"pid": os.getpid(), "mark": "another:1"}))
    assert mine.pid() is None
    mine.stop(timeout=1)  # would end this very process if it were mistaken


@pytest.mark.parametrize("text", ["", "{", '{"pid": 1'])
def test_a_torn_pid_file_means_that_nothing_runs(tmp_path: Path, text: str) -> None:
    mine = service(tmp_path)
    mine.pid_file.write_text(text)
    assert mine.pid() is None


def test_a_service_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    failing = service(
        tmp_path,
        (sys.executable, "-c", "raise SystemExit('disk is full')"),
        probe=lambda: "refused",
    )
    with pytest.raises(ServiceError, match=r"(?s)sleeper ended while it started.*disk is full"):
        failing.start(timeout=20)


def test_a_service_that_never_answers_is_stopped_and_reported(tmp_path: Path) -> None:
    deaf = service(tmp_path, probe=lambda: "connection refused")
    with pytest.raises(ServiceError, match=r"did not answer within 0.5 s \(connection refused\)"):
        deaf.start(timeout=0.5)
    assert deaf.pid() is None


def test_a_service_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    ready = tmp_path / "ready"
    code += f"open({str(ready)!r}, 'w').close(); time.sleep(60)"
    stubborn = service(
        tmp_path,
        (sys.executable, "-c", code),
        probe=lambda: None if ready.exists() else "not yet",
    )
    stubborn.start(timeout=20)
    pid = stubborn.pid()
    assert pid is not None
    stubborn.stop(timeout=0.5)
    assert start_mark(pid) is None


def test_a_killed_service_starts_again(sleeper: Service) -> None:
    sleeper.start(timeout=5)
    before = sleeper.pid()
    assert before is not None
    os.kill(before, signal.SIGKILL)
    while sleeper.pid() is not None:
        pass
    sleeper.start(timeout=5)
    assert sleeper.pid() not in (None, before)
