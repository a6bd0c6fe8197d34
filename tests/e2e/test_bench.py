"""Every benchmark from end to end, as small as it can be.

The peers Flink SQL and Feast's server are left out: their environments take minutes to install.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.stack, pytest.mark.timeout(600)]
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def bench(new_home: Callable[[str], Path]) -> Callable[..., dict[str, Any]]:
    """Runs `userflow bench` and returns the document that it prints."""

    def run(*arguments: str) -> dict[str, Any]:
        home = new_home(".userflow")
        done = subprocess.run(
            [sys.executable, "-m", "infra", "bench", *arguments, "--json"],
            env={**os.environ, "USERFLOW_HOME": str(home), "PYTHONPATH": str(REPOSITORY)},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert not home.exists(), "the temporary home is another one"
        document: dict[str, Any] = json.loads(done.stdout)
        assert document["conditions"]["cores"]
        return document

    return run


def test_sessions_are_compared_with_a_peer(bench: Callable[..., dict[str, Any]]) -> None:
    found = bench("sessions", "--events", "4000", "--peer", "pandas")
    figures = {figure["path"]: figure for figure in found["figures"]}
    job, peer = figures["Kafka to a no-op sink"], figures["applyInPandasWithState"]
    assert figures["Kafka to all stores"]["events"] == job["events"] == peer["events"] == 4000
    assert job["steady"] > 0
    assert peer["steady"] > 0
    assert found["ratios"] == {"applyInPandasWithState": job["steady"] / peer["steady"]}


def test_freshness_reads_every_sample_and_says_why_it_took_so_long(
    bench: Callable[..., dict[str, Any]],
) -> None:
    (figure,) = bench("freshness", "--rate", "200", "--seconds", "5")["figures"]
    assert figure["samples"] == 250
    assert figure["unread"] == 0
    latency, floor = figure["latency_ms"], figure["floor"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"] <= latency["max"]
    assert {"process", "postgres", "redis", "delta"} <= floor["parts"].keys()
    assert floor["every"] > sum(floor["parts"][part] for part in ("process", "postgres"))


def test_idle_keys_stay_alive_while_the_log_is_read(bench: Callable[..., dict[str, Any]]) -> None:
    sizes = ("--keys", "500", "--keys", "5000")
    small, large = bench("state-growth", "--events", "8000", *sizes)["figures"]
    assert large["live"] - small["live"] == 4500
    assert small["live"] > 500
    assert (small["of_smallest"], large["events"]) == (1.0, 8000)
    for figure in (small, large):
        assert figure["steady"] > 0
        assert figure["state_bytes"] > 0
        assert figure["memory_bytes"].keys() == {"driver", "jvm", "workers"}


def test_serving_answers_every_number_of_entities(bench: Callable[..., dict[str, Any]]) -> None:
    found = bench("serving", "--entities", "600", "--seconds", "0.3", "--no-peers")
    figures = {(figure["path"], figure["entities"]): figure for figure in found["figures"]}
    ours, as_feast = "POST /v1/features", "POST /get-online-features"
    assert figures.keys() == {
        ("the load alone", 1),
        *((path, size) for path in (ours, as_feast) for size in (1, 100, 500)),
    }
    assert found["ratios"] == {}
    for figure in figures.values():
        assert figure["requests"] > 0
        assert figure["per_second"] > 0
        assert figure["elsewhere"] < 1
        assert 0 < figure["latency_ms"]["p50"] <= figure["latency_ms"]["p99"]
