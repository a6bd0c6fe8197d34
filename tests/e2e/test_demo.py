"""`userflow demo` as its user meets it, and what it says of a store that was tampered with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from infra.demo.load import Run, webtoon
from infra.demo.proof import prove
from infra.demo.report import Outcome
from infra.demo.run import conclude
from infra.endpoints import Endpoints

pytestmark = [pytest.mark.slow, pytest.mark.stack, pytest.mark.timeout(900)]

STORES = ("postgresql", "redis", "delta")


def userflow(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    repository = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-m", "infra", *arguments],
        env={**os.environ, "USERFLOW_HOME": str(home), "PYTHONPATH": str(repository)},
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
        timeout=800,
    )


@pytest.fixture(scope="module")
def home(new_home: Callable[[str], Path]) -> Iterator[Path]:
    place = new_home(".userflow")
    try:
        yield place
    finally:
        userflow(place, "down")


@pytest.fixture(scope="module")
def demo(home: Path) -> dict[str, Any]:
    done = userflow(home, "demo", "--seconds", "8", "--keep", "--json")
    assert done.returncode == 0, done.stderr + done.stdout
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_every_record_sent_is_accepted_a_copy_or_a_dead_letter(demo: dict[str, Any]) -> None:
    assert demo["agrees"] is True
    assert demo["differences"] == []
    for topic, count in demo["events"].items():
        dead = sum(count["dead_letters"].values())
        assert count["sent"] == count["accepted"] + count["duplicates"] + dead, topic
    assert demo["events"]["webtoon_user_events"]["sent"] == 8 * 400
    assert demo["events"]["webtoon_user_events"]["dead_letters"]["not_json"] > 0


def test_every_store_has_the_same_number_of_sessions(demo: dict[str, Any]) -> None:
    sessions = demo["sessions"]["total"]
    assert sessions > 0
    assert [demo["feature_rows"][store] for store in STORES] == [sessions] * 3
    assert demo["feature_rows"]["delta_log"] >= sessions
    assert set(demo["latency_ms"]) == set(STORES)
    assert demo["example"]["features"]["event_count"] > 0


def test_what_the_stream_archived_is_checked_loaded_and_becomes_marts(
    demo: dict[str, Any],
) -> None:
    quality, marts = demo["quality"], demo["marts"]
    accepted = sum(count["accepted"] for count in demo["events"].values())
    assert quality["is_passed"]
    assert quality["events"] == quality["loaded"] + quality["failed"]
    assert quality["events"] >= accepted, "what was sent to warm up is archived too"
    assert len(quality["checks"]) == 7
    assert all(marts["marts"][name]["rows"] > 0 for name in ("mart_user_daily", "episode_features"))
    assert marts["views"]["user_features_daily"]["rows"] > 0


def test_what_is_kept_runs_on(demo: dict[str, Any], home: Path) -> None:
    assert userflow(home, "status").returncode == 0
    found = userflow(home, "get", "session_features", demo["example"]["id"], "--json")
    assert json.loads(found.stdout)["session_id"] == demo["example"]["features"]["session_id"]


def test_the_api_answered_for_one_user_and_runs_on(demo: dict[str, Any], home: Path) -> None:
    told, endpoints = demo["answer"], Endpoints.read(home)
    assert told["path"].endswith(told["id"])
    assert told["source"] in ("redis", "postgres")
    assert told["features"]["read_count_24h"] > 0
    assert demo["addresses"]["api"] == f"{endpoints.api}/docs"
    assert demo["addresses"]["dashboard"] == endpoints.dashboard
    key = {"Authorization": f"Bearer {endpoints.api_key}"}
    again = httpx.get(f"{endpoints.api}{told['path']}", headers=key)
    assert again.json()["features"].keys() == told["features"].keys()
    for address in ("api", "samples", "dashboard"):
        assert httpx.get(demo["addresses"][address], follow_redirects=True).is_success, address


def test_a_store_that_was_tampered_with_is_reported(
    demo: dict[str, Any], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, endpoints = Run(**demo["run"]), Endpoints.read(home)
    with Redis.from_url(endpoints.redis, decode_responses=True) as client:
        first, second = sorted(client.scan_iter(match=f"webtoon_session:*{webtoon(run).run}*"))[:2]
        client.delete(first)
        client.hset(second, "event_count", "999")
    outcome = Outcome(run=run, endpoints=endpoints, proof=prove(run, endpoints), log=[])
    assert conclude(outcome, as_json=True) == 1
    differences = json.loads(capsys.readouterr().out)["differences"]
    missing, changed = differences
    assert missing["what"] == "sessions missing in Redis"
    assert "|".join(first.split(":", 2)[1:]) in missing["found"]
    assert changed["what"] == "event_count of 1 rows in Redis"
    assert changed["found"] == "999"
