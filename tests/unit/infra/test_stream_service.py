"""A stream in the background is started once, and ended by who started it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from stacks import settings_for

from infra.endpoints import Endpoints
from infra.errors import StackNotUp
from infra.private_files import write_private
from infra.stack.supervisor import Service, start_mark
from infra.stream_service import StreamService


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Service]:
    """What was started, without starting it."""
    found: list[Service] = []
    monkeypatch.setattr(Service, "start", lambda service, _: found.append(service))
    return found


def service(home: Path) -> StreamService:
    Endpoints(kafka="", postgres="", redis="", lake="").write(home)
    return StreamService(settings_for(home))


def test_it_is_started_with_its_jobs_and_the_settings_of_its_home(
    tmp_path: Path, started: list[Service]
) -> None:
    service(tmp_path).up("webtoon,commerce")
    (one,) = started
    assert one.command[-4:] == ("stream", "--supervise", "--jobs", "webtoon,commerce")
    assert f'home = "{tmp_path}"' in (one.directory / "userflow.toml").read_text("utf-8")
    assert one.probe() == "no stream has begun"


def test_beside_a_stream_that_lives_none_is_started(tmp_path: Path, started: list[Service]) -> None:
    living = {"pid": os.getpid(), "mark": start_mark(os.getpid()), "jobs": ["webtoon"]}
    write_private(tmp_path / "streams" / "1.json", json.dumps(living))
    service(tmp_path).up("webtoon")
    assert started == []


def test_without_a_stack_there_is_nothing_to_read(tmp_path: Path, started: list[Service]) -> None:
    with pytest.raises(StackNotUp):
        StreamService(settings_for(tmp_path)).up("webtoon")
    assert started == []


def test_ending_what_was_never_started_is_fine(tmp_path: Path) -> None:
    StreamService(settings_for(tmp_path)).down()
