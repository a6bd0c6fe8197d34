"""Where API and dashboard are served, and who is told; what runs is tested with real services."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from stacks import settings_for

from infra.cli.dashboard import dashboard
from infra.endpoints import Endpoints
from infra.errors import PortTaken, ServiceError, StackNotUp
from infra.stack.supervisor import start_mark
from infra.web_service import WEB_SERVICES, WebService, web_services

SOME = Endpoints(kafka="h:1", postgres="postgresql://u:pw@h:2/d", redis="redis://:pw@h:3", lake="L")


@pytest.fixture
def service(tmp_path: Path) -> WebService:
    SOME.write(tmp_path)
    return WebService(settings_for(tmp_path), "dashboard")


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def runs_in_background(home: Path, pid: int, port: int) -> None:
    folder = home / "services" / "dashboard"
    folder.mkdir(parents=True)
    record = {"pid": pid, "mark": start_mark(pid)}
    (folder / "process.json").write_text(json.dumps(record))
    (home / "services" / "ports.json").write_text(json.dumps({"dashboard": port}))


def test_a_port_is_kept_from_start_to_start(service: WebService, tmp_path: Path) -> None:
    first = service.choose_port(None)
    assert WebService(settings_for(tmp_path), "dashboard").choose_port(None) == first
    assert service.url == f"http://127.0.0.1:{first}"


def test_a_port_of_another_program_is_refused(service: WebService, taken: int) -> None:
    with pytest.raises(PortTaken, match="leave --port out"):
        service.choose_port(taken)


def test_beside_one_in_the_background_another_needs_a_port_of_its_own(tmp_path: Path) -> None:
    runs_in_background(tmp_path, os.getppid(), 20_001)
    service = WebService(settings_for(tmp_path), "dashboard")
    with pytest.raises(
        ServiceError, match=r"in the background already, at http://127\.0\.0\.1:20001"
    ):
        service.choose_port(None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    assert service.choose_port(free) == free
    assert service.url == "http://127.0.0.1:20001"


def test_the_one_in_the_background_may_take_its_port(tmp_path: Path) -> None:
    runs_in_background(tmp_path, os.getpid(), 20_002)
    assert WebService(settings_for(tmp_path), "dashboard").choose_port(20_002) == 20_002


def test_it_is_told_for_as_long_as_it_serves(service: WebService, tmp_path: Path) -> None:
    with service.announced("http://here"):
        assert Endpoints.read(tmp_path).dashboard == "http://here"
        with service.announced("http://there"):
            pass
    assert Endpoints.read(tmp_path) == SOME


def test_one_that_another_has_replaced_leaves_its_word_alone(
    service: WebService, tmp_path: Path
) -> None:
    with service.announced("http://first"):
        service._announce("http://second")
    assert Endpoints.read(tmp_path).dashboard == "http://second"


def test_what_was_never_started_is_no_part_of_the_status(tmp_path: Path) -> None:
    for service in web_services(settings_for(tmp_path)):
        assert service.status() == {}
        service.down()
    assert set(WEB_SERVICES) == {"api", "dashboard"}


def test_nothing_is_started_without_a_stack(tmp_path: Path) -> None:
    with pytest.raises(StackNotUp, match="userflow up"):
        WebService(settings_for(tmp_path), "dashboard").up(None)


def test_the_command_says_what_to_run_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USERFLOW_HOME", str(tmp_path))
    for options in ([], ["--background"]):
        with pytest.raises(StackNotUp, match="userflow up"):
            CliRunner().invoke(dashboard, options, catch_exceptions=False)
