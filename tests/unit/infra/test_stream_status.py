"""A stream says what it waits for while it lives; of one that died nothing is said."""

from __future__ import annotations

import json
import os
from pathlib import Path

from infra.stream_status import living_streams, stream_lines, told
from streaming.outages import Away


def test_it_says_what_it_runs_and_waits_for_and_how_often_it_began_again(tmp_path: Path) -> None:
    with told(tmp_path, ["webtoon", "commerce"]) as file:
        file.restarted("webtoon")
        file.restarted("webtoon")
        file.away({"redis": Away(1_790_000_000.25, "Connection refused.")})
        (said,) = living_streams(tmp_path)
        assert (said["pid"], said["jobs"]) == (os.getpid(), ["webtoon", "commerce"])
        assert list(stream_lines([said])) == [
            f"stream of webtoon, commerce: process {os.getpid()} since {said['since']}",
            "  waits for redis since 2026-09-21T14:13:20+00:00: Connection refused.",
            "  query webtoon was started again 2 times",
        ]
        file.away({})
        assert living_streams(tmp_path)[0]["waits_for"] == {}


def test_when_it_ends_it_says_nothing(tmp_path: Path) -> None:
    with told(tmp_path, ["webtoon"]):
        pass
    assert living_streams(tmp_path) == []


def test_the_file_of_a_dead_process_is_removed(tmp_path: Path) -> None:
    with told(tmp_path, ["webtoon"]):
        (mine,) = (tmp_path / "streams").glob("*.json")
        dead = mine.with_name("1.json")
        dead.write_text(json.dumps({**json.loads(mine.read_text()), "mark": "another's"}))
        assert len(living_streams(tmp_path)) == 1
        assert not dead.exists()


def test_a_half_written_file_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "streams" / "1.json"
    file.parent.mkdir()
    file.write_text("{")
    assert living_streams(tmp_path) == []
    assert file.exists()


def test_a_home_without_streams_has_none(tmp_path: Path) -> None:
    assert living_streams(tmp_path) == []
