"""Ports are remembered, and never taken from another program."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from infra.errors import PortTaken
from infra.stack.ports import Ports, is_free


def test_a_port_is_kept_from_start_to_start(tmp_path: Path) -> None:
    first = Ports(tmp_path / "ports.json").choose("kafka")
    assert is_free(first)
    assert Ports(tmp_path / "ports.json").choose("kafka") == first


def test_a_remembered_port_that_was_taken_meanwhile_is_replaced(tmp_path: Path) -> None:
    first = Ports(tmp_path / "ports.json").choose("kafka")
    with socket.create_server(("127.0.0.1", first)):
        assert Ports(tmp_path / "ports.json", held_s=0.0).choose("kafka") != first


def test_a_remembered_port_that_a_dying_process_still_holds_is_waited_for(tmp_path: Path) -> None:
    first = Ports(tmp_path / "ports.json").choose("kafka")
    dying = socket.create_server(("127.0.0.1", first))
    threading.Timer(0.3, dying.close).start()
    assert Ports(tmp_path / "ports.json").choose("kafka") == first


def test_two_services_get_two_ports(tmp_path: Path) -> None:
    ports = Ports(tmp_path / "ports.json")
    assert ports.choose("kafka") != ports.choose("redis")


def test_a_configured_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTaken, match=f"Port {port} for redis .* USERFLOW_REDIS_PORT"):
            Ports(tmp_path / "ports.json").choose("redis", port)
