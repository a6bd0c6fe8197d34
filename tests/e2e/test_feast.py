"""The real Feast over an exported repository: it applies, reads online through our API, and joins
the lake as our training sets do.

The first run installs it into an environment of its own, which the benchmark has too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from served import served
from stacks import settings_for

from benchmarks.peers.feast import FeastEnvironment
from features.columns import polars_schema
from features.views import VIEWS
from infra.api_keys import create_key
from infra.cli import main
from infra.endpoints import Endpoints
from infra.settings import load_settings
from serving.feast.repository import KEY_VARIABLE
from serving.training.sets import training_set
from streaming.ports import DEAD, Epoch, Output
from streaming.sinks.delta import DeltaSink
from streaming.sinks.redis import RedisSink

pytestmark = [pytest.mark.slow, pytest.mark.stack, pytest.mark.timeout(600)]
CLIENT = Path(__file__).parents[1] / "feast_client.py"
NOW = datetime.now(UTC).replace(microsecond=250_000)
HOUR = timedelta(hours=1)
READERS = VIEWS["user_features"]
VISITS = VIEWS["session_features"]
# Reader, hours ago of the newest event, reads; readable ten minutes after that.
CHANGES = (
    ("feast-a", 9, 1),
    ("feast-a", 6, 2),
    ("feast-b", 6, 7),
    ("feast-a", 3, 3),
    ("feast-b", 1, 8),
)
LABELS = (
    ("feast-a", 10),
    ("feast-a", 9),
    ("feast-a", 5.9),
    ("feast-a", 5),
    ("feast-a", 0),
    ("feast-b", 6.5),
    ("feast-b", 2),
    ("feast-c", 2),
)
JOINED = ["user_features:read_count_1h", "user_features:avg_completion_rate_1h"]


def _rows(view: Any, *rows: dict[str, Any]) -> pl.DataFrame:
    schema = {**polars_schema(view.columns), "event_at": pl.Datetime("us", "UTC")}
    given = [{**dict.fromkeys(schema), **row} for row in rows]
    return pl.DataFrame(given, schema=schema).with_columns(by_event=pl.lit(value=True))


def _output(view: Any, rows: pl.DataFrame) -> Output:
    return Output(
        rows={view.name: rows},
        events={},
        dead=pl.DataFrame(schema=DEAD),
        rows_in=0,
        duplicates=0,
    )


def _epoch(number: int, at: datetime) -> Epoch:
    return Epoch(
        job="webtoon",
        checkpoint_id="feast",
        number=number,
        generation=1,
        committed_at_us=round(at.timestamp() * 1_000_000),
    )


def _fill(stack: Endpoints, lake: str) -> None:
    redis, delta = RedisSink(stack.redis), DeltaSink(lake)
    for number, (reader, hours, reads) in enumerate(CHANGES):
        at = NOW - hours * HOUR
        row = {
            "user_id": reader,
            "read_count_1h": reads,
            "avg_completion_rate_1h": None if reads == 2 else reads / 10,
            "last_episode_ids": ["e1", "é"],  # a list stands in the hash as JSON
            "last_seen_at": at,
            "event_at": at,
        }
        epoch = _epoch(number, at + HOUR / 6)
        for sink in (redis, delta):
            sink.write(epoch, _output(READERS, _rows(READERS, row)))
    visit = {"session_id": "feast|s", "episode_id": "e1", "is_completed": True, "event_at": NOW}
    redis.write(_epoch(len(CHANGES), NOW), _output(VISITS, _rows(VISITS, visit)))
    redis.close()


@pytest.fixture(scope="module")
def feast(
    stack: Endpoints, stack_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Any]:
    """Exports, applies, and does with it what a document says."""
    settings = settings_for(stack_home)
    _fill(stack, settings.lake_root)
    environment = FeastEnvironment(load_settings().home)
    environment.prepare(print)
    _, key = create_key(stack.postgres, ["read"], "feast")

    def run(document: dict[str, Any], *options: str) -> Any:
        folder = tmp_path_factory.mktemp("repository")
        with pytest.MonkeyPatch.context() as patch, served(settings, stack) as address:
            patch.setenv("USERFLOW_HOME", str(stack_home))
            arguments = ["feast", "export", str(folder), "--api", address, *options]
            done = CliRunner().invoke(main, arguments)
            assert done.exit_code == 0, done.output
            environment.run(["feast", "apply"], folder=folder)
            printed = environment.run(
                ["python", str(CLIENT)],
                folder=folder,
                given=json.dumps(document),
                variables={KEY_VARIABLE: key},
            )
        return json.loads(printed.splitlines()[-1])

    return run


def _document() -> dict[str, Any]:
    entities = {"user_id": ["feast-a", "feast-nobody", "feast-b"]}
    asked = [
        *("user_features:read_count_1h", "user_features:top_genre_1h"),
        *("user_features:last_episode_ids", "user_features:last_seen_at"),
    ]
    visits = {"session_id": ["feast|s"], "episode_id": ["e1"]}
    labels = [
        {"user_id": reader, "event_timestamp": (NOW - hours * HOUR).isoformat()}
        for reader, hours in LABELS
    ]
    return {
        "online": [
            {"features": asked, "entities": entities},
            {
                "features": ["session_features:is_completed"],
                "entities": visits,
                "full_feature_names": True,
            },
            {"service": "user_features", "entities": {"user_id": ["feast-a"]}},
        ],
        "unknown": {"features": ["user_features:read_count_1h"], "entities": {"episode_id": ["e"]}},
        "history": {"labels": labels, "features": JOINED},
    }


def _joined_by_us(lake: str, mode: Any) -> list[tuple[Any, ...]]:
    labels = pl.DataFrame(
        {
            "user_id": [reader for reader, _ in LABELS],
            "label_at": [NOW - hours * HOUR for _, hours in LABELS],
        }
    )
    return training_set(labels, JOINED, lake=lake, mode=mode).rows()


def _joined_by_feast(found: Any) -> list[tuple[Any, ...]]:
    names = ("user_id", "event_timestamp", "read_count_1h", "avg_completion_rate_1h")
    rows = [tuple(row[name] for name in names) for row in found["history"]]
    return [(reader, datetime.fromisoformat(at), *rest) for reader, at, *rest in rows]


def test_feast_reads_what_our_stores_hold_and_joins_as_we_do(
    feast: Callable[..., Any], stack_home: Path
) -> None:
    found = feast(_document())
    readers, visits, service = found["online"]
    assert readers == {
        "user_id": ["feast-a", "feast-nobody", "feast-b"],
        "read_count_1h": [3, None, 8],
        "top_genre_1h": [None, None, None],
        "last_episode_ids": [["e1", "é"], None, ["e1", "é"]],
        "last_seen_at": [
            int((NOW - 3 * HOUR).timestamp()),
            None,
            int((NOW - HOUR).timestamp()),
        ],
    }
    assert visits == {
        "session_id": ["feast|s"],
        "episode_id": ["e1"],
        "session_features__is_completed": [True],
    }
    assert service.keys() == {"user_id", *(column.name for column in READERS.features)}
    assert service["avg_completion_rate_1h"] == [0.3]
    assert "user_id is missing" in found["error"][1]

    ours = _joined_by_us(settings_for(stack_home).lake_root, "event-time")
    assert [row[2] for row in ours] == [None, 1, 2, 2, 3, None, 7, None]
    assert sorted(_joined_by_feast(found), key=str) == sorted(ours, key=str)


def test_feast_can_join_as_it_was_served(feast: Callable[..., Any], stack_home: Path) -> None:
    document = _document()
    document["online"] = []
    document["unknown"] = {"features": ["user_features:nothing"], "entities": {"user_id": ["a"]}}
    found = feast(document, "--as-served")
    assert found["error"][0] == "FeatureViewNotFoundException"
    ours = _joined_by_us(settings_for(stack_home).lake_root, "as-served")
    assert [row[2] for row in ours] == [None, None, 1, 2, 3, None, 7, None]
    assert sorted(_joined_by_feast(found), key=str) == sorted(ours, key=str)
