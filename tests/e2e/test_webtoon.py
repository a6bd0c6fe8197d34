"""The whole way: Kafka, Spark, PostgreSQL, Redis and Delta, bad input included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import psycopg
import pytest
import redis
from comparing import differences, known, online, plain
from confluent_kafka import Producer
from deltalake import DeltaTable
from oracle.sessions import final_watermark
from oracle.validation import expected
from oracle.views import Log
from oracle.views import expected as oracle
from stacks import consume

from infra.endpoints import Endpoints
from infra.stream_metrics import stream_addresses
from producer.simulate import Simulation, simulate
from streaming.jobs import JOBS

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
TOPIC = "webtoon_user_events"
START_US = 1_790_000_000_000_000
ODD_IDS = (
    "it's",
    'say "hi"',
    "a b",
    "웹툰 😀",
    "a:b|c/d",
    "back\\slash",
    "{json}",
    "100%",
    "\u202ertl",
)
BAD: list[tuple[bytes | None, str]] = [
    (b"{broken", "not_json"),
    (b"\xff\xfe", "not_json"),
    (b"", "not_json"),
    (None, "not_json"),
    (b"\xef\xbb\xbf{}", "not_json"),
    (b"[1, 2]", "not_an_object"),
    (b"{}", "missing_field"),
    (b"x" * (5 << 20), "too_large"),
]


def event(**change: Any) -> dict[str, Any]:
    return {
        "event_id": "odd",
        "user_id": "u",
        "session_id": "s",
        "episode_id": "ep_0001",
        "event_type": "scroll",
        "scroll_ratio": 0.25,
        "country": "KR",
        "device": "mobile",
        "platform": "ios",
        "timestamp": START_US // 1000,
        **change,
    }


WRONG = [
    ({"scroll_ratio": float("nan")}, "wrong_type"),
    ({"scroll_ratio": 1.01}, "out_of_range"),
    ({"scroll_ratio": []}, "wrong_type"),
    ({"country": "kr"}, "not_allowed"),
    ({"timestamp": "9999-12-31T00:00:00Z"}, "in_the_future"),
    ({"timestamp": "gestern"}, "bad_timestamp"),
    ({"session_id": "nul\0"}, "out_of_range"),
    ({"session_id": ""}, "out_of_range"),
]


@dataclass(frozen=True)
class Run:
    stack: Endpoints
    home: Path
    values: list[bytes | None]
    summary: dict[str, Any]
    metrics: Mapping[str, float]


def userflow(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra", *arguments],
        env={**os.environ, "USERFLOW_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def stream(home: Path) -> dict[str, Any]:
    done = userflow(home, "stream", "--jobs", "webtoon", "--available-now", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    summaries: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return summaries[0]


@contextmanager
def scraping(home: Path) -> Iterator[dict[str, float]]:
    """What the streams of this home say of themselves, by sample; asked again and again."""
    told: dict[str, float] = {}
    done = threading.Event()

    def scrape() -> None:
        while not done.wait(0.2):
            for address in stream_addresses(home):
                with suppress(httpx.TransportError):  # it has just ended
                    told.update(samples(httpx.get(address.url, timeout=10).text))

    with ThreadPoolExecutor() as pool:
        scraper = pool.submit(scrape)
        yield told
        done.set()
        scraper.result()


def samples(text: str) -> dict[str, float]:
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def send(stack: Endpoints, values: list[bytes | None]) -> None:
    producer = Producer({"bootstrap.servers": stack.kafka, "message.max.bytes": 8 << 20})
    # The same anchor for all, so that 2026 stays "now" for this test.
    headers = [("received_at", str(START_US // 1000).encode())]
    for number, value in enumerate(values):
        producer.produce(TOPIC, value=value, key=str(number).encode(), headers=headers)
        producer.poll(0)
    assert producer.flush(60) == 0


@pytest.fixture(scope="module")
def run(stack: Endpoints, stack_home: Path) -> Run:
    simulation = Simulation(
        domain="webtoon",
        rate=100,
        duration=60,
        users=150,
        seed=7,
        start_us=START_US - 60_000_000,
        bad_rate=0.03,
        late_rate=0.01,
        duplicate_rate=0.05,
        disorder_rate=0.1,
    )
    values: list[bytes | None] = [sent.value for sent in simulate(simulation)]
    odd = [event(event_id=f"odd-{i}", session_id=text) for i, text in enumerate(ODD_IDS)]
    wrong = [event(**change) for change, _ in WRONG]
    values += [json.dumps(one, ensure_ascii=False).encode() for one in (*odd, *wrong)]
    values += [raw for raw, _ in BAD]
    send(stack, values)
    with scraping(stack_home) as metrics:
        summary = stream(stack_home)
    return Run(stack, stack_home, values, summary, metrics)


def read_back(values: list[bytes | None]) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Accepted events by id and the reasons of the others, as the oracle sees them."""
    events, reasons = {}, []
    for raw in values:
        code, found = expected(raw, START_US)
        if found is None:
            reasons.append(code)
        else:
            events[found["event_id"] or raw] = found
    return events, reasons


def log_of(run: Run) -> Log:
    events, _ = read_back(run.values)
    # Events without an id are the same event when their text is.
    log = [{**e, "event_id": e["event_id"] or str(key)} for key, e in events.items()]
    genres = known(run.stack, "episodes", "episode_id", "genre")
    return Log(log, final_watermark(log), genres, {})


@pytest.mark.parametrize("view", JOBS["webtoon"].views)
def test_postgresql_holds_what_the_oracle_computes(run: Run, view: str) -> None:
    wanted, rows = oracle(view, log_of(run)), online(run.stack, view)
    assert rows.keys() == wanted.keys()
    assert len(rows) > 5
    for key, features in wanted.items():
        assert not differences(rows[key], features), key


def test_redis_and_delta_hold_what_postgresql_holds(run: Run) -> None:
    rows = online(run.stack, "session_features")
    assert len(rows) > 100
    client = redis.Redis.from_url(run.stack.redis, decode_responses=True)
    log = pl.DataFrame(DeltaTable(f"{run.stack.lake}/features/session_features").to_pyarrow_table())
    newest = log.sort("batch_id").unique(["session_id", "episode_id"], keep="last")
    delta = {(row["session_id"], row["episode_id"]): row for row in newest.to_dicts()}
    assert delta.keys() == rows.keys()
    for (session, episode), row in rows.items():
        served = client.hgetall(f"webtoon_session:{session}:{episode}")
        logged = delta[session, episode]
        assert served["event_count"] == str(row["event_count"])
        assert served["is_closed"] == ("true" if row["is_closed"] else "false")
        assert float(served["completion_rate"]) == row["completion_rate"]
        assert served.get("genre") == row["genre"]
        for name in ("event_count", "is_closed", "completion_rate", "avg_scroll_ratio", "ended_at"):
            assert plain(logged[name]) == row[name]
        assert plain(logged["available_at"]) == row["updated_at"]


def test_every_accepted_event_is_archived_once(run: Run) -> None:
    events, _ = read_back(run.values)
    archive = pl.DataFrame(DeltaTable(f"{run.stack.lake}/events/{TOPIC}").to_pyarrow_table())
    assert archive.height == archive["event_id"].n_unique() == len(events)
    assert run.summary["accepted"] == len(events)
    assert run.summary["duplicates"] > 0


def test_every_bad_event_is_kept_with_its_bytes_and_its_reason(run: Run) -> None:
    _, reasons = read_back(run.values)
    with psycopg.connect(run.stack.postgres) as connection:
        rows = connection.execute(
            "SELECT reason_code, payload FROM ops.dead_letters WHERE topic = %s", [TOPIC]
        ).fetchall()
    assert sorted(code for code, _ in rows) == sorted(reasons)
    kept = [(payload, code) for code, payload in rows]
    for raw, code in [*BAD, *((json.dumps(event(**c)).encode(), code) for c, code in WRONG)]:
        if raw is None or b"nul" not in raw:
            assert (raw, code) in kept
    letters = consume(run.stack, "dead-letters")
    assert sorted(dict(m.headers())["reason_code"].decode() for m in letters) == sorted(reasons)
    assert max(len(m.value() or b"") for m in letters) == 5 << 20


def test_the_metrics_tell_what_the_stores_hold(run: Run) -> None:
    events, reasons = read_back(run.values)
    of_topic, of_stream = f'topic="{TOPIC}"', '{stream="webtoon"}'
    assert run.metrics[f"userflow_events_accepted_total{{{of_topic}}}"] == len(events)
    assert run.metrics[f"userflow_freshness_seconds_count{of_stream}"] == len(events)
    for reason, count in Counter(reasons).items():
        rejected = f'userflow_rejected_total{{reason="{reason}",{of_topic}}}'
        assert run.metrics[rejected] == count
    assert run.metrics[f"userflow_duplicates_total{of_stream}"] == run.summary["duplicates"]
    lags = [value for name, value in run.metrics.items() if name.startswith("userflow_lag_records")]
    assert len(lags) == 4
    assert not any(lags)
    assert run.metrics[f"userflow_state_keys{of_stream}"] > 0
    assert stream_addresses(run.home) == []


def test_a_second_run_resumes_and_late_events_are_kept(run: Run) -> None:
    before = online(run.stack, "session_features")
    hour = 3_600_000
    fresh = event(event_id="after", session_id="resumed", timestamp=START_US // 1000)
    again = event(event_id="odd-0", session_id=ODD_IDS[0])
    late = event(event_id="way-back", timestamp=START_US // 1000 - 4 * hour)
    values: list[bytes | None] = [json.dumps(e).encode() for e in (fresh, again, late)]
    send(run.stack, values)
    summary = stream(run.home)
    assert (summary["accepted"], summary["duplicates"], summary["rejected"]) == (1, 1, 1)
    after = online(run.stack, "session_features")
    assert after.keys() - before.keys() == {("resumed", "ep_0001")}
    assert {key: after[key] for key in before} == before
    with psycopg.connect(run.stack.postgres) as connection:
        rows = connection.execute(
            "SELECT payload FROM ops.dead_letters WHERE reason_code = 'late'"
        ).fetchall()
    assert rows == [(values[2],)]
