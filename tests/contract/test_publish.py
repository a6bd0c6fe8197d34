"""Tables of the day become batch views: as a whole, in both stores, and never an older one."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import psycopg
import pytest
from batch_stores import DAY, fill, make_marts, new_database, settings_of
from click.testing import CliRunner, Result
from psycopg import sql
from redis import Redis

from features.columns import polars_schema
from features.marts import MARTS, PUBLISHED
from infra.batch_hashes import BatchHashes, Stamp
from infra.cli import main
from infra.database import recommender_conninfo
from infra.endpoints import Endpoints
from infra.errors import PublishFailed
from infra.publish import Publication, publish
from infra.repair import repair_redis
from infra.settings import Settings

pytestmark = pytest.mark.stack
USERS = PUBLISHED["user_features_daily"]
AT = {"as_of_date": DAY}
ROWS: dict[str, dict[str, Any]] = {
    "user_features": {
        "user_id": "u1",
        **AT,
        "user_avg_completion_rate": 0.5,
        "user_exit_rate": None,
    },
    "episode_features": {
        "episode_id": "e1",
        **AT,
        "tags": ["a", "웹툰"],
        "current_popularity_rank": 1,
    },
    "segment_features": {
        "country": "KR",
        **AT,
        "genre": "drama",
        "hour_of_day": 7,
        "read_count": 3,
    },
    "experiment_results": {"experiment_group": "A", **AT, "ui_version": "", "read_count": 3},
    "content_quality": {"episode_id": "e1", **AT, "quality_label": "neutral"},
}
NOON = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC)
DAILY: dict[str, dict[str, Any]] = {
    "user_segments": {"user_id": "u1", "segment": "vip", "frequency": 3, "monetary": 9.5},
    "user_behavior_features": {
        "user_id": "u1",
        "preferred_category": "책",
        "churn_risk_score": 0.25,
        "avg_order_value": None,
    },
    "user_recommendation_features": {
        "user_id": "u1",
        "product_count": 2,
        "products": [
            {"product_id": "p1", "affinity": 5, "purchase_count": 1},
            {"product_id": 'p"2', "affinity": 1, "purchase_count": 0},
        ],
        "last_event_at": NOON,
    },
    "related_products": {
        "product_id": "p1",
        "user_count": 4,
        "products": [{"product_id": "p2", "users": 2, "score": 0.5}],
    },
}
SEGMENTS = PUBLISHED["user_segments"]


@pytest.fixture(scope="module")
def database(stack: Endpoints, stack_home: Path) -> Endpoints:
    return new_database(stack, stack_home, "publishing")


@pytest.fixture
def stores(database: Endpoints, tmp_path: Path) -> Iterator[Endpoints]:
    """Marts and daily tables with a row each, and nothing published."""
    database = replace(database, lake=str(tmp_path / "lake"))
    for name, row in DAILY.items():
        compute(database.lake, name, [row])
    make_marts(database.postgres)
    for mart, row in ROWS.items():
        fill(database.postgres, "marts", mart, [row])
    with psycopg.connect(database.postgres) as owner:
        owner.execute("DELETE FROM ops.published_views")
        for name in PUBLISHED:
            owner.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier("online", name)))
    client = Redis.from_url(database.redis)
    client.flushdb()
    yield database
    client.close()


@pytest.fixture
def hashes(stores: Endpoints) -> Iterator[BatchHashes]:
    client = Redis.from_url(stores.redis)
    yield BatchHashes(client)
    client.close()


@pytest.fixture
def settings(stores: Endpoints, tmp_path: Path) -> Settings:
    return settings_of(stores, tmp_path)


def compute(lake: str, name: str, rows: list[dict[str, Any]], day: date = DAY) -> None:
    """What a daily job does: the day's partition is replaced, and may have more columns."""
    declared = PUBLISHED[name].mart.columns
    columns = [column for column in declared if column.name != "as_of_date"]
    frame = pl.DataFrame(rows, schema=polars_schema(columns), strict=False).with_columns(
        run_date=pl.lit(day), more=pl.lit(1)
    )
    options = {"predicate": f"run_date = '{day}'", "partition_by": ["run_date"]}
    frame.write_delta(f"{lake}/batch/{name}", mode="overwrite", delta_write_options=options)


def published(settings: Settings, **more: Any) -> Publication:
    return publish(settings=settings, **{"run_date": DAY, **more})


def online(stores: Endpoints, name: str) -> list[dict[str, Any]]:
    """What the recommender may read."""
    query = sql.SQL("SELECT * FROM {}").format(sql.Identifier("online", name))
    with psycopg.connect(
        recommender_conninfo(stores.postgres), row_factory=psycopg.rows.dict_row
    ) as reader:
        return reader.execute(query).fetchall()


def users(url: str, count: int, rate: float, day: date = DAY) -> None:
    with psycopg.connect(url) as owner:
        owner.execute("DELETE FROM marts.user_features")
        owner.execute(
            "INSERT INTO marts.user_features (user_id, as_of_date, user_exit_rate) "
            "SELECT 'u' || i, %s, %s FROM generate_series(1, %s) i",
            [day, rate, count],
        )


def test_every_view_is_in_both_stores(
    settings: Settings, stores: Endpoints, hashes: BatchHashes
) -> None:
    done = published(settings)
    assert {name: (one.rows, one.version) for name, one in done.views.items()} == dict.fromkeys(
        PUBLISHED, (1, 1)
    )
    for view in PUBLISHED.values():
        (row,) = online(stores, view.name)
        given = {**AT, **(ROWS | DAILY)[view.mart.name]}
        wanted = {k: v for k, v in given.items() if v is not None}
        assert wanted.items() <= row.items()
        entity = "|".join(str(row[name]) for name in view.key)
        times = {k: v.isoformat().replace("+00:00", "Z") for k, v in wanted.items() if at(v)}
        as_json = wanted | times
        assert hashes.read(view, [entity, "nobody"]) == [as_json, None]


def at(value: object) -> bool:
    """Whether it is a day or a moment, which JSON has as text."""
    return isinstance(value, date)


def test_of_daily_tables_the_newest_day_up_to_the_run_date_is_published(
    settings: Settings, stores: Endpoints, hashes: BatchHashes
) -> None:
    later = DAY + timedelta(days=3)
    compute(stores.lake, "user_segments", [{"user_id": "u1", "segment": "new"}], later)
    found = published(settings, views=[SEGMENTS], run_date=later - timedelta(days=1)).views
    assert found["user_segments"].as_of_date == DAY
    found = published(settings, views=[SEGMENTS], run_date=later).views
    assert (found["user_segments"].as_of_date, found["user_segments"].rows) == (later, 1)
    assert hashes.read(SEGMENTS, ["u1"]) == [
        {"user_id": "u1", "as_of_date": later.isoformat(), "segment": "new"}
    ]
    kept = published(settings, views=[SEGMENTS], run_date=DAY).views["user_segments"]
    assert (kept.kept, kept.as_of_date) == (True, later)


def test_a_daily_table_that_was_never_computed_leaves_the_others_published(
    settings: Settings, stores: Endpoints
) -> None:
    before = DAY - timedelta(days=1)
    shutil.rmtree(Path(stores.lake) / "batch" / "related_products")
    done = published(settings)
    assert done.not_computed == ("related_products",)
    assert set(done.views) == set(PUBLISHED) - {"related_products"}
    assert published(settings, run_date=before, views=[SEGMENTS]).not_computed == ("user_segments",)


def test_a_daily_table_of_another_schema_is_refused(settings: Settings, stores: Endpoints) -> None:
    path = f"{stores.lake}/batch/user_segments"
    shutil.rmtree(path)
    frame = pl.DataFrame({"user_id": ["u1"], "run_date": [DAY]})
    frame.write_delta(path, delta_write_options={"partition_by": ["run_date"]})
    with pytest.raises(PublishFailed, match="batch/user_segments is not as declared"):
        published(settings, views=[SEGMENTS])


def test_a_daily_row_that_cannot_be_held_is_refused_without_its_value(
    settings: Settings, stores: Endpoints
) -> None:
    compute(stores.lake, "user_segments", [DAILY["user_segments"]] * 2)
    with pytest.raises(PublishFailed, match=r"batch/user_segments .*_pkey") as refused:
        published(settings, views=[SEGMENTS])
    assert "u1" not in str(refused.value)


def test_a_repetition_changes_nothing_but_the_version(
    settings: Settings, stores: Endpoints
) -> None:
    published(settings)
    (before,) = online(stores, USERS.name)
    assert published(settings).views[USERS.name].version == 2
    (after,) = online(stores, USERS.name)
    assert {**after, "updated_at": 0, "version": 0} == {**before, "updated_at": 0, "version": 0}


def test_rows_that_are_no_more_go_away(
    settings: Settings, stores: Endpoints, hashes: BatchHashes
) -> None:
    users(stores.postgres, 3, 0.1)
    published(settings)
    users(stores.postgres, 1, 0.2)
    published(settings)
    assert [row["user_id"] for row in online(stores, USERS.name)] == ["u1"]
    assert hashes.read(USERS, ["u1", "u2"])[1] is None


def test_a_mart_of_an_earlier_day_replaces_no_later_one(
    settings: Settings, stores: Endpoints
) -> None:
    published(settings)
    users(stores.postgres, 2, 0.9, day=DAY - timedelta(days=1))
    kept = published(settings).views[USERS.name]
    assert (kept.kept, kept.as_of_date, kept.rows) == (True, DAY, 1)
    assert len(online(stores, USERS.name)) == 1


def test_an_empty_mart_is_refused_before_anything_is_written(
    settings: Settings, stores: Endpoints
) -> None:
    with psycopg.connect(stores.postgres) as owner:
        owner.execute("DELETE FROM marts.experiment_results")
    assert published(settings).views["experiment_results_daily"].rows == 0, "nobody runs a test"
    with psycopg.connect(stores.postgres) as owner:
        owner.execute("DELETE FROM marts.content_quality")
    users(stores.postgres, 2, 0.9)
    with pytest.raises(PublishFailed, match=r"marts\.content_quality has no row"):
        published(settings)
    assert len(online(stores, USERS.name)) == 1
    assert published(settings, allow_empty=True).views["content_quality_daily"].rows == 0


def test_a_mart_that_is_not_there_is_named(settings: Settings, stores: Endpoints) -> None:
    with psycopg.connect(stores.postgres) as owner:
        owner.execute("DROP TABLE marts.segment_features")
    with pytest.raises(PublishFailed, match=r"marts\.segment_features is not as declared"):
        published(settings)


def test_a_key_that_stands_there_twice_is_refused_without_its_value(
    settings: Settings, stores: Endpoints
) -> None:
    fill(stores.postgres, "marts", "user_features", [ROWS["user_features"]])
    with pytest.raises(PublishFailed, match="user_features_daily_pkey") as refused:
        published(settings)
    assert "u1" not in str(refused.value)
    assert online(stores, USERS.name) == []


def test_without_redis_postgresql_keeps_what_it_has(
    settings: Settings, stores: Endpoints, tmp_path: Path
) -> None:
    published(settings)
    users(stores.postgres, 2, 0.9)
    away = settings_of(replace(stores, redis="redis://127.0.0.1:1"), tmp_path / "away")
    with pytest.raises(PublishFailed, match="Redis did not answer"):
        published(away)
    assert len(online(stores, USERS.name)) == 1


def test_a_slow_publication_does_not_replace_a_newer_one(hashes: BatchHashes) -> None:
    def stamp(version: int) -> Stamp:
        at = psycopg.TimestampFromTicks(0)
        return Stamp(version=version, as_of_date=DAY, updated_at=at, rows=1)

    for version in (1, 2):
        assert hashes.load(USERS, version, [{"user_id": "u1", "of": version}]) == 1
    assert hashes.swap(USERS, stamp(2), 1) is True
    assert hashes.swap(USERS, stamp(1), 1) is False
    assert hashes.read(USERS, ["u1"]) == [{"user_id": "u1", "of": 2}]
    assert hashes.swap(USERS, stamp(3), 1) is None, "nothing was loaded"
    assert hashes.read(USERS, ["u1"]) == [{"user_id": "u1", "of": 2}]


def test_a_view_is_let_go_when_nobody_publishes_it(settings: Settings, stores: Endpoints) -> None:
    published(settings)
    published(settings)
    with Redis.from_url(stores.redis) as client:
        keys = set(client.keys("*"))
        assert len(keys) == 2 * len(PUBLISHED), "the old hashes are gone"
        assert all(0 < client.ttl(key) <= 2 * 86_400 for key in keys)


class Readers:
    """Two readers that look all the time; a look that finds no one publication is half."""

    def __init__(self, stores: Endpoints, hashes: BatchHashes, many: int) -> None:
        self._stores, self._hashes, self._many = stores, hashes, many
        self.looks = {"postgres": 0, "redis": 0}
        self.halves: list[object] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=one) for one in (self._postgres, self._redis)]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _postgres(self) -> None:
        query = "SELECT count(DISTINCT user_exit_rate), count(*) FROM online.user_features_daily"
        url = recommender_conninfo(self._stores.postgres)
        with psycopg.connect(url, autocommit=True) as reader:
            while not self._ended.is_set():
                self._note("postgres", reader.execute(query).fetchone(), (1, self._many))

    def _redis(self) -> None:
        ids = [f"u{number}" for number in range(1, self._many + 1, 97)]
        while not self._ended.is_set():
            rows = self._hashes.read(USERS, ids)
            self._note("redis", len({row and row["user_exit_rate"] for row in rows}), 1)

    def _note(self, store: str, found: object, whole: object) -> None:
        self.looks[store] += 1
        if found != whole:
            self.halves.append(found)


def test_readers_see_the_old_rows_or_the_new_ones_and_never_half(
    settings: Settings, stores: Endpoints, hashes: BatchHashes
) -> None:
    many = 1_000
    users(stores.postgres, many, 0.5)
    published(settings)
    with Readers(stores, hashes, many) as readers:
        for turn in range(6):
            users(stores.postgres, many, 0.1 * turn)
            published(settings)
    assert readers.halves == []
    assert min(readers.looks.values()) > 20


def test_the_command_publishes_and_says_what(
    settings: Settings, stores: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USERFLOW_HOME", str(settings.home))
    done = CliRunner().invoke(main, ["publish", "--date", DAY.isoformat()])
    assert done.exit_code == 0, done.output
    assert f"user_features_daily: 1 rows of {DAY}\n" in done.output
    users(stores.postgres, 2, 0.9, day=DAY - timedelta(days=1))
    again = CliRunner().invoke(main, ["publish", "--date", DAY.isoformat()])
    assert f"user_features_daily: 1 rows of {DAY}, kept" in again.output
    with psycopg.connect(stores.postgres) as owner:
        owner.execute("DELETE FROM marts.user_features")
    refused = CliRunner().invoke(main, ["publish", "--date", DAY.isoformat()])
    assert refused.exit_code == 1
    assert "marts.user_features has no row" in refused.output


def test_a_batch_view_is_read_by_the_command(
    settings: Settings, stores: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    published(settings)
    monkeypatch.setenv("USERFLOW_HOME", str(settings.home))

    def get(*words: str) -> Result:
        return CliRunner().invoke(main, ["get", *words])

    row = json.loads(get("user_features_daily", "u1", "--json").stdout)
    assert (row["user_avg_completion_rate"], row["as_of_date"]) == (0.5, DAY.isoformat())
    related = json.loads(get("related_products", "p1", "--json").stdout)
    assert related["products"] == DAILY["related_products"]["products"]
    assert get("segment_features_daily", "KR|drama|7").exit_code == 0
    for unknown in ("KR|drama|8", "KR|drama|seven"):
        assert "has no row" in get("segment_features_daily", unknown).stderr
    assert get("user_features_dayly", "u1").exit_code == 2
    assert "user_features_daily" in get("user_features_dayly", "u1").stderr


def test_each_published_mart_is_declared_once() -> None:
    of_dbt = {view.mart.name for view in PUBLISHED.values() if view.made_by == "dbt"}
    assert set(ROWS) == of_dbt <= set(MARTS)
    assert set(DAILY) == {view.name for view in PUBLISHED.values() if view.made_by == "spark"}


def test_what_redis_has_lost_comes_back_as_it_was(
    stores: Endpoints, settings: Settings, hashes: BatchHashes
) -> None:
    published(settings)
    client = Redis.from_url(stores.redis)
    before = {name: hashes.read(view, ids(stores, name)) for name, view in PUBLISHED.items()}
    versions = {name: client.get(view.redis_version_key) for name, view in PUBLISHED.items()}
    with psycopg.connect(stores.postgres) as owner:  # as if it were of yesterday
        owner.execute("UPDATE ops.published_views SET updated_at = updated_at - interval '1 day'")
    client.flushdb()
    done = repair_redis(list(PUBLISHED), endpoints=stores, say=print)
    assert {name: one.written for name, one in done.views.items()} == {
        name: len(rows) for name, rows in before.items()
    }
    assert {name: hashes.read(v, ids(stores, name)) for name, v in PUBLISHED.items()} == before
    assert all(rows and None not in rows for rows in before.values())
    for name, view in PUBLISHED.items():
        stamp = client.get(view.redis_version_key)
        assert (
            msgspec.json.decode(stamp)["version"] == msgspec.json.decode(versions[name])["version"]
        )
        assert 23 * 3600 < client.ttl(view.redis_key) <= 24 * 3600
    client.close()


def test_a_repair_brings_back_nothing_old(
    stores: Endpoints, settings: Settings, hashes: BatchHashes
) -> None:
    published(settings)
    client = Redis.from_url(stores.redis)
    stamp = msgspec.json.decode(client.get(USERS.redis_version_key))
    client.set(USERS.redis_version_key, msgspec.json.encode({**stamp, "version": 99}))
    assert repair_redis([USERS.name], endpoints=stores, say=print).views[USERS.name].written == 0
    client.flushdb()
    with psycopg.connect(stores.postgres) as owner:
        owner.execute("UPDATE ops.published_views SET updated_at = updated_at - interval '3 days'")
    assert repair_redis([USERS.name], endpoints=stores, say=print).views[USERS.name].written == 0
    assert client.dbsize() == 0
    client.close()


def ids(stores: Endpoints, name: str) -> list[str]:
    return [
        "|".join(str(row[part]) for part in PUBLISHED[name].key) for row in online(stores, name)
    ]
