"""Asking the streams, some of which are gone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from serving.dashboard.streams import Freshness, StreamReader

TEXT = """# TYPE userflow_freshness_seconds histogram
userflow_freshness_seconds_bucket{stream="webtoon",le="1.0"} 4
userflow_freshness_seconds_bucket{stream="webtoon",le="+Inf"} 4
"""


class Metrics(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = TEXT.encode() if self.path == "/metrics" else b"?"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Metrics)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def announce(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.json").write_text(text)


def test_who_answers_is_heard_whoever_else_does_not(tmp_path: Path, address: str) -> None:
    announce(tmp_path, "1", "half of a fi")
    announce(tmp_path, "2", "[]")
    announce(tmp_path, "3", '[{"labels": {}}]')
    announce(tmp_path, "4", "7")
    announce(tmp_path, "5", json.dumps([{"targets": ["127.0.0.1:1"]}]))
    announce(tmp_path, "6", json.dumps([{"targets": ["no address at all"]}]))
    announce(tmp_path, "7", json.dumps([{"targets": [address]}]))
    reader = StreamReader(tmp_path)
    assert reader.read() == {"webtoon": Freshness(0.5, 0.99)}
    assert reader.read() == {"webtoon": Freshness(None, None)}  # nothing since
    reader.close()


def test_without_streams_there_is_nothing(tmp_path: Path) -> None:
    reader = StreamReader(tmp_path / "not there")
    assert reader.read() == {}
    reader.close()
