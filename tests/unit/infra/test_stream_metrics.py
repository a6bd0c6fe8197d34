"""`/metrics` over HTTP, and how it is found: by people, by `status`, by Prometheus."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from infra.endpoints import Endpoints
from infra.errors import PortTaken
from infra.metrics_docs import DOCS_FILE, metrics_page
from infra.settings import Settings
from infra.stream_metrics import FOLDER, StreamAddress, measured, stream_addresses
from streaming.jobs import JOBS, Job
from streaming.sinks.lease import LeaseTaken

# Nothing listens there: a broker that is away.
ENDPOINTS = Endpoints(kafka="127.0.0.1:1", postgres="", redis="", lake="")
WEBTOON = (JOBS["webtoon"],)


@pytest.fixture(autouse=True)
def _short_wait_for_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.stream_metrics.LAG_TIMEOUT_S", 0.2)


def settings(home: Path, **change: Any) -> Settings:
    return Settings(home=home, **{"metrics_port": None, "metrics_host": "127.0.0.1", **change})


def only(home: Path) -> StreamAddress:
    (address,) = stream_addresses(home)
    return address


def fail_in(home: Path, jobs: Sequence[Job]) -> None:
    with pytest.raises(RuntimeError), measured(settings(home), ENDPOINTS, jobs):
        raise RuntimeError


def let_die(home: Path) -> None:
    """As if the processes of this home had been others, which are no more."""
    for file in (home / FOLDER).glob("*.json"):
        (group,) = json.loads(file.read_text())
        group["labels"]["__meta_userflow_mark"] = "another"
        file.unlink()
        (home / FOLDER / f"gone-{file.name}").write_text(json.dumps([group]))


def test_metrics_are_served_while_the_stream_runs(tmp_path: Path) -> None:
    with measured(settings(tmp_path), ENDPOINTS, WEBTOON) as metrics:
        metrics.restarted("webtoon")
        answer = httpx.get(only(tmp_path).url)
        families = {one.name: one for one in text_string_to_metric_families(answer.text)}
        assert families["userflow_query_restarts"].samples[0].value == 1
        assert families["userflow_broker_up"].samples[0].value == 0
        assert {"process_start_time_seconds", "python_info", "python_gc_collections"} <= set(
            families
        )
        url = only(tmp_path).url
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_prometheus_finds_the_process_where_it_listens(tmp_path: Path) -> None:
    with measured(settings(tmp_path), ENDPOINTS, [JOBS["webtoon"], JOBS["sources"]]):
        (file,) = (tmp_path / FOLDER).glob("*.json")
        (group,) = json.loads(file.read_text())
        assert group.keys() == {"targets", "labels"}  # Prometheus refuses a file with more
        assert group["labels"]["__meta_userflow_jobs"] == "webtoon,sources"
        assert [f"http://{target}/metrics" for target in group["targets"]] == [only(tmp_path).url]
        assert only(tmp_path).jobs == ("webtoon", "sources")
        assert only(tmp_path).is_alive


def test_who_ends_well_is_no_longer_found(tmp_path: Path) -> None:
    with measured(settings(tmp_path), ENDPOINTS, WEBTOON):
        pass
    assert stream_addresses(tmp_path) == []


def test_of_who_died_the_address_stays_until_the_job_is_started_again(tmp_path: Path) -> None:
    fail_in(tmp_path, WEBTOON)
    let_die(tmp_path)
    assert not only(tmp_path).is_alive
    with measured(settings(tmp_path), ENDPOINTS, [JOBS["sources"]]):
        assert [one.is_alive for one in stream_addresses(tmp_path)] == [True, False]
    with measured(settings(tmp_path), ENDPOINTS, WEBTOON):
        assert only(tmp_path).is_alive


def test_who_was_refused_the_lease_is_no_stream_that_died(tmp_path: Path) -> None:
    taken = LeaseTaken("webtoon", "another")
    with pytest.raises(LeaseTaken), measured(settings(tmp_path), ENDPOINTS, WEBTOON):
        raise taken
    assert stream_addresses(tmp_path) == []


def test_two_in_one_process_one_after_the_other(tmp_path: Path) -> None:
    for _ in range(2):
        with measured(settings(tmp_path), ENDPOINTS, WEBTOON):
            assert httpx.get(only(tmp_path).url).status_code == 200


def test_port_0_means_no_metrics(tmp_path: Path) -> None:
    with measured(settings(tmp_path, metrics_port=0), ENDPOINTS, WEBTOON) as metrics:
        metrics.restarted("webtoon")
        assert stream_addresses(tmp_path) == []


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        taken = settings(tmp_path, metrics_port=port)
        sentence = f":{port} .*USERFLOW_METRICS_PORT"
        with pytest.raises(PortTaken, match=sentence), measured(taken, ENDPOINTS, WEBTOON):
            pass
    assert stream_addresses(tmp_path) == []


def test_who_listens_everywhere_is_found_by_the_name_of_the_machine(tmp_path: Path) -> None:
    with measured(settings(tmp_path, metrics_host="0.0.0.0"), ENDPOINTS, WEBTOON):
        assert only(tmp_path).url.startswith(f"http://{socket.gethostname()}:")


def test_the_page_of_metrics_is_the_declarations() -> None:
    """`python -m infra.metrics_docs` writes it."""
    assert DOCS_FILE.read_text(encoding="utf-8") == metrics_page()
