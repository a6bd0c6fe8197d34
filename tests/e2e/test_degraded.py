"""A real stream in a flood of bad events: degraded once, fine again by itself, no secret told."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from fake_slack import PATH, slack
from secrets_found import files_with, passwords, processes_showing, readable_by_others

from infra.demo.child import streaming
from infra.endpoints import Endpoints
from infra.source_health import read_sources
from producer.simulate import Simulation, simulate
from producer.sinks.kafka import KafkaSink

pytestmark = pytest.mark.stack
TOPIC = "webtoon_user_events"
ROOT = Path(__file__).parents[2]
PRIVATE = {"services/secrets.json", "services/redis/redis.conf", "endpoints.json"}


def send(stack: Endpoints, *, events: int, bad_rate: float, seed: int) -> int:
    """Returns how many of them are good."""
    simulation = Simulation(
        domain="webtoon",
        rate=events / 10,
        duration=10,
        users=20,
        seed=seed,
        start_us=time.time_ns() // 1000 - 20_000_000,
        bad_rate=bad_rate,
    )
    sent = list(simulate(simulation))
    with KafkaSink(stack.kafka) as sink:
        sink.send(sent)
    return sum(one.kind == "clean" for one in sent)


def test_a_flood_of_bad_events_is_told_once_and_its_end_too(
    stack: Endpoints, stack_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.chdir(tmp_path)  # where settings are read from
    with slack() as fake:
        (tmp_path / "userflow.toml").write_text(f'slack_webhook = "{fake.url}"\n')
        with streaming(stack_home, "--jobs", "webtoon") as stream:
            stream.wait_until_started()
            good = send(stack, events=600, bad_rate=0.5, seed=1)
            wait(lambda: states(stack) == {TOPIC: True})
            wait(lambda: len(fake.bodies) == 1)
            secrets = [*passwords(stack_home), PATH]
            assert processes_showing(secrets, [stream.process.pid]) == []
            assert "java" in processes_showing(["spark"], [stream.process.pid])

            good += send(stack, events=6000, bad_rate=0.0, seed=2)
            wait(lambda: states(stack) == {TOPIC: False})
            wait(lambda: len(fake.bodies) == 2)
            stream.stop()

    assert fake.titles == [f"{TOPIC} breaks its contract", f"{TOPIC} is fine again"]
    with psycopg.connect(stack.postgres) as connection:
        found = connection.execute("SELECT alert_type, user_id FROM ops.alerts").fetchall()
        accepted = connection.execute("SELECT sum(accepted) FROM ops.stream_epochs").fetchone()
    assert found == [("contract_breach", None)]
    assert accepted == (good,)
    assert files_with(secrets, stack_home) == PRIVATE
    assert readable_by_others(stack_home / name for name in PRIVATE) == set()


def states(stack: Endpoints) -> dict[str, bool]:
    with psycopg.connect(stack.postgres) as connection:
        return {one.topic: one.is_degraded for one in read_sources(connection)}


def wait(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.2)
