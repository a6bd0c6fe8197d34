"""The benchmark of serving without services: its requests, its load, what it prints."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from benchmarks import serving_report
from benchmarks.http_load import Broken, Floor, load
from benchmarks.serving import FEAST, OURS, Served, Target, ratios
from benchmarks.serving_data import ASKED, VIEW, readers, zipf_ids

ROWS = readers(1_000, seed=1, now_us=1_767_225_600_000_000)


def test_readers_have_every_feature_and_are_the_same_again() -> None:
    assert ROWS.columns == [*(c.name for c in VIEW.columns), "event_at", "by_event"]
    assert sum(ROWS.null_count().row(0)) == 0
    assert ROWS.equals(readers(1_000, seed=1, now_us=1_767_225_600_000_000))
    assert len(ASKED) == 12
    assert set(ASKED) <= set(ROWS.columns)


def test_a_few_readers_are_asked_for_often() -> None:
    asked = [ids[0] for ids in zipf_ids(ROWS, 1, 5_000, seed=1)]
    counts = [count for _, count in Counter(asked).most_common()]
    # 1/rank over 1,000 ranks: the first has 13 %, the first ten have 39 %.
    assert 0.11 < counts[0] / 5_000 < 0.16
    assert 0.35 < sum(counts[:10]) / 5_000 < 0.43


def test_no_reader_comes_twice_in_a_request() -> None:
    for ids in zipf_ids(ROWS, 100, 20, seed=1):
        assert len(set(ids)) == len(ids) == 100
    assert zipf_ids(ROWS, 100, 2, seed=1) == zipf_ids(ROWS, 100, 2, seed=1)


def test_requests_are_what_each_server_understands() -> None:
    (ours,) = Target(OURS, "/v1/features", 1, "secret").requests([["r1"]])
    head, _, body = ours.partition("\r\n\r\n")
    assert head.startswith("POST /v1/features HTTP/1.1\r\n")
    assert "Authorization: Bearer secret" in head
    assert f"Content-Length: {len(body)}" in head
    assert json.loads(body) == {"view": VIEW.name, "ids": ["r1"], "features": [*ASKED]}
    (feast,) = Target(FEAST, "/get-online-features", 1).requests([["r1"]])
    assert "Authorization" not in feast
    assert json.loads(feast.partition("\r\n\r\n")[2])["entities"] == {"user_id": ["r1"]}


async def _loaded(answer: bytes, **plan: Any) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Floor(answer), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        return await load(port, **plan)
    finally:
        server.close()
        await asyncio.sleep(0.05)  # its side of the connections ends too


def _answer(status: str, size: int) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n{'x' * size}".encode()


REQUESTS = [b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"]


@pytest.mark.parametrize(("connections", "size"), [(1, 0), (4, 10), (2, 3_000_000)])
def test_a_load_ends_after_so_many_requests(connections: int, size: int) -> None:
    plan = {"requests": REQUESTS, "connections": connections, "seconds": 20.0, "most": 9}
    found = asyncio.run(_loaded(_answer("200 OK", size), marker=f"length: {size}", **plan))
    assert found["requests"] == found["marked"] == 9
    assert found["per_second"] > 0
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["max"]


def test_a_load_ends_after_so_many_seconds() -> None:
    plan = {"requests": REQUESTS, "connections": 2, "seconds": 0.1, "most": 10_000_000}
    found = asyncio.run(_loaded(_answer("200 OK", 5), marker="redis", **plan))
    assert 2 < found["requests"] < 10_000_000
    assert found["marked"] == 0


def test_a_load_breaks_off_where_the_server_fails() -> None:
    plan = {"requests": REQUESTS, "connections": 2, "seconds": 5.0, "most": 9}
    with pytest.raises(Broken, match="500 Oops"):
        asyncio.run(_loaded(_answer("500 Oops", 5), **plan))


def test_a_server_whose_stores_are_too_slow_is_counted_apart() -> None:
    plan = {"requests": REQUESTS, "connections": 2, "seconds": 5.0, "most": 9}
    found = asyncio.run(_loaded(_answer("503 Away", 5), **plan))
    assert (found["requests"], found["unavailable"]) == (0, 9)


def figure(path: str, entities: int, per_second: float) -> Served:
    latency = {"p50": 1.0, "p95": 2.0, "p99": 2.5, "max": 9.125}
    return Served(path, entities, 1_000, latency, per_second, 0.01)


FIGURES = [
    figure("the load alone", 1, 50_000.0),
    figure(OURS, 1, 2_500.0),
    figure(FEAST, 1, 1_000.0),
    figure(OURS, 100, 1_000.0),
    figure(FEAST, 100, 50.0),
]


def test_how_many_times_feast_comes_first() -> None:
    assert ratios(FIGURES) == {"1": 2.5, "100": 20.0}
    text = serving_report.text(FIGURES, {"cores": 2}, as_json=False).splitlines()
    assert text[0] == (
        "2.5 x Feast's requests/s for 1 entity, 20 x Feast's requests/s for 100 entities"
    )
    assert text[-1] == "cores 2"
    row = next(line for line in text if line.startswith(OURS)).split()
    assert row[-9:] == ["1", "1.00", "2.50", "9.12", "1,000", "2,500.0", "0.0%", "0", "1%"]


def test_the_document_has_ratios_figures_and_conditions() -> None:
    document = json.loads(serving_report.text(FIGURES, {"cores": 2}, as_json=True))
    assert document["conditions"] == {"cores": 2}
    assert document["ratios"] == {"1": 2.5, "100": 20.0}
    assert document["figures"][1]["latency_ms"]["p99"] == 2.5


def test_without_feast_there_is_no_ratio() -> None:
    text = serving_report.text(FIGURES[:2], {"cores": 2}, as_json=False)
    assert text.splitlines()[0].split()[:2] == ["path", "entities"]
