"""`userflow serve` as its user meets it: it says where it is, answers, and ends in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest
from stacks import settings_for

from infra.endpoints import Endpoints
from infra.web_service import WebService

pytestmark = pytest.mark.stack
START_S = 30


def command(home: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "infra", *arguments],
        env={**os.environ, "USERFLOW_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def serving(home: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The process and its address, once it answers."""
    process = command(home, "serve", *arguments)

    def answers() -> bool:
        assert process.poll() is None, process.communicate()
        address = Endpoints.read(home).api
        try:
            return address is not None and httpx.get(f"{address}/healthz").is_success
        except httpx.TransportError:
            return False

    try:
        until(answers)
        yield process, Endpoints.read(home).api or ""
    finally:
        process.kill()
        process.communicate()


def ask(address: str, key: str | None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.get(f"{address}/v1/features/user_features/nobody", headers=headers)


def test_it_answers_with_the_key_of_the_endpoints_file_and_ends_in_order(
    stack: Endpoints, stack_home: Path
) -> None:
    with serving(stack_home) as (process, address):
        assert address.startswith("http://127.0.0.1:")
        assert ask(address, Endpoints.read(stack_home).api_key).status_code == 404
        assert ask(address, "other").status_code == 401
        assert httpx.get(f"{address}/readyz").json()["ready"] is True
        process.send_signal(signal.SIGTERM)
        out, log = process.communicate(timeout=START_S)
        assert process.returncode == 0, log
        assert Endpoints.read(stack_home).api is None
        told = (out + log).decode()
        assert '"route":"/v1/features/{view}/{id}","status":404' in told
        assert (Endpoints.read(stack_home).api_key or "?") not in told
        assert "nobody" not in told


def test_several_workers_answer_at_one_address(stack: Endpoints, stack_home: Path) -> None:
    with serving(stack_home, "--workers", "2") as (process, address):
        children = psutil.Process(process.pid).children(recursive=True)
        assert len([one for one in children if "spawn_main" in " ".join(one.cmdline())]) == 2
        assert ask(address, Endpoints.read(stack_home).api_key).status_code == 404
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=START_S)
        assert process.returncode == 0, log
        _, left = psutil.wait_procs(children, timeout=START_S)
        assert left == []


def test_in_the_background_it_runs_until_it_is_ended(stack: Endpoints, stack_home: Path) -> None:
    service = WebService(settings_for(stack_home), "api")
    try:
        started = command(stack_home, "serve", "--background")
        out, log = started.communicate(timeout=2 * START_S)
        assert started.returncode == 0, log
        address = Endpoints.read(stack_home).api or ""
        assert out.decode().strip() == f"{address}/docs"
        assert ask(address, Endpoints.read(stack_home).api_key).status_code == 404
        assert service.status()["api"].running
    finally:
        service.down()
    assert Endpoints.read(stack_home).api is None
    assert service.status() == {}
