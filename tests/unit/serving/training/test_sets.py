"""What may be asked, how labels may look, and what is said when something does not fit."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from logged_rows import ROW, ROWS, START

from features.columns import polars_schema
from features.errors import UnknownName
from features.views import VIEWS
from serving.training import BadFeatures, BadLabels, NoLog, TrainingSetError, training_set

LATER = START + timedelta(minutes=1)


def one(lake: str, features: Any, **label: Any) -> dict[str, Any]:
    """The row of a single label."""
    return training_set(pl.DataFrame([{"label_at": LATER, **label}]), features, lake=lake).row(
        0, named=True
    )


@pytest.mark.parametrize(
    "asked",
    ["user_features:country", "user_features.country", ["user_features:country"], "country"],
)
def test_a_feature_has_several_names(lake: str, asked: Any) -> None:
    assert one(lake, asked, user_id="007") == {
        "label_at": LATER,
        "user_id": "007",
        "country": "KR",
    }


def test_views_with_different_keys_are_joined_in_one_call(lake: str) -> None:
    who = {"user_id": "007", "product_id": "p1", "session_start": START}
    asked = (
        "product_features:view_count_1h",
        "user_features:country",
        "derived_session_features:event_count",
    )
    found = one(lake, ", ".join(asked), **who)
    assert list(found)[4:] == ["view_count_1h", "country", "event_count"]
    assert list(found.values())[4:] == [5, "KR", 2]


def test_columns_of_the_same_name_are_told_apart(lake: str) -> None:
    who = {"user_id": "007", "session_id": "s1", "episode_id": "e1"}
    found = one(lake, ["user_features:country", "session_features:country"], **who)
    assert found["user_features__country"] == "KR"
    assert found["session_features__country"] == "JP"
    found = one(lake, ["user_features:country"], user_id="007", country="mine")
    assert (found["country"], found["user_features__country"]) == ("mine", "KR")


def test_all_features_of_a_view_and_what_the_log_knows_of_a_row(lake: str) -> None:
    found = one(lake, ["user_features:*", "user_features:available_at"], user_id="007")
    names = [column.name for column in VIEWS["user_features"].features]
    assert list(found) == ["label_at", "user_id", *names, "available_at"]
    assert found["available_at"] == START
    assert found["last_episode_ids"] == ["e1", "e2"]


def test_a_bare_name_is_the_one_of_the_view_that_the_labels_can_be_joined_to(lake: str) -> None:
    assert (
        one(lake, "read_count_7d", country="KR", genre="drama", hour_of_day=3)["read_count_7d"] == 9
    )
    with pytest.raises(BadFeatures, match=r"user_features:read_count_24h, episode_features:read"):
        one(lake, "read_count_24h", user_id="007", episode_id="e1")
    with pytest.raises(BadFeatures, match="user_features:read_count_24h"):
        one(lake, "read_count_24h", nobody="007")


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("user_feature:country", "user_features"),
        ("user_features:county", "country"),
        ("avg_completion_rat_24h", "avg_completion_rate_24h"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(lake: str, asked: str, near: str) -> None:
    with pytest.raises(UnknownName, match=rf"There is no .*\b{near}\b"):
        one(lake, asked, user_id="007")


def test_a_batch_view_has_no_past(lake: str) -> None:
    with pytest.raises(BadFeatures, match="user_features_daily is a batch view and keeps no log"):
        one(lake, "user_features_daily:top_genre", user_id="007")


@pytest.mark.parametrize("asked", ["", [], " , "])
def test_nothing_asked_for_is_refused(lake: str, asked: Any) -> None:
    with pytest.raises(BadFeatures, match="No feature"):
        one(lake, asked, user_id="007")


def test_a_name_that_is_taken_twice_is_refused(lake: str) -> None:
    with pytest.raises(BadFeatures, match="user_features__country already"):
        one(lake, "user_features:country", user_id="007", country="", user_features__country="")


def test_labels_say_who_and_when(lake: str) -> None:
    with pytest.raises(BadLabels, match=r"lack user_id.* found label_at, id; expected user_id"):
        one(lake, "user_features:country", id="007")
    frame = pl.DataFrame({"user_id": ["007"], "day": ["2026"]})
    with pytest.raises(BadLabels, match=r"found user_id, day; expected a column label_at \(or"):
        training_set(frame, "user_features:country", lake=lake)


@pytest.mark.parametrize("name", ["label_at", "event_timestamp", "timestamp"])
@pytest.mark.parametrize(
    "at",
    [
        LATER,
        LATER.replace(tzinfo=None),
        LATER.isoformat(),
        "2026-01-01T09:01:00+09:00",
        "2026-01-01 00:01:00 UTC",
        "2026-01-01 00:01:00",
        "20260101T000100Z",
        int(LATER.timestamp()),
        LATER.timestamp() * 1000,
    ],
    ids=str,
)
def test_a_moment_has_several_spellings(lake: str, name: str, at: Any) -> None:
    frame = pl.DataFrame({"user_id": ["007", "007"], name: [at, None]})
    found = training_set(frame, "user_features:country", lake=lake)
    assert found["country"].to_list() == ["KR", None]
    assert found.drop("country").equals(frame)


def test_a_zone_counts_and_none_is_utc(lake: str) -> None:
    before = START - timedelta(microseconds=1)
    for at in (START, before):
        seoul = pl.Series([at]).dt.convert_time_zone("Asia/Seoul").dt.cast_time_unit("ns")
        for spelled in (seoul, pl.Series([at.replace(tzinfo=None)]), pl.Series([at.isoformat()])):
            frame = pl.DataFrame({"user_id": ["007"], "label_at": spelled})
            found = training_set(frame, "user_features:country", lake=lake)
            assert found["country"][0] == ("KR" if at == START else None)
    frame = pl.DataFrame({"user_id": ["007"], "label_at": [date(2026, 1, 1)]})
    assert training_set(frame, "user_features:country", lake=lake)["country"][0] == "KR"


@pytest.mark.parametrize("at", ["yesterday", "2026-13-01", 1e30, True, [START]], ids=str)
def test_what_is_no_moment_is_refused(lake: str, at: Any) -> None:
    frame = pl.DataFrame({"user_id": ["007"], "label_at": [at]})
    with pytest.raises(BadLabels, match="Column label_at"):
        training_set(frame, "user_features:country", lake=lake)


def test_an_entity_is_compared_in_the_type_of_the_view(lake: str) -> None:
    segment = {"country": "KR", "genre": "drama"}
    for hour in (3, "3"):
        assert (
            one(lake, "segment_features:read_count_7d", **segment, hour_of_day=hour)[
                "read_count_7d"
            ]
            == 9
        )
    frame = pl.DataFrame({"user_id": ["007"], "label_at": [LATER]})
    for kind in (pl.Categorical, pl.Enum(["007"])):
        typed = frame.with_columns(pl.col("user_id").cast(kind))
        assert training_set(typed, "user_features:country", lake=lake)["country"][0] == "KR"
    nobody = frame.with_columns(user_id=None)
    assert training_set(nobody, "user_features:country", lake=lake)["country"][0] is None
    for wrong in (7.0, START, ["007"]):
        with pytest.raises(BadLabels, match=r"Column user_id is of .*; expected String"):
            one(lake, "user_features:country", user_id=wrong)
    with pytest.raises(BadLabels, match=r"Column hour_of_day is of String, and not all .* Int32"):
        one(lake, "segment_features:read_count_7d", **segment, hour_of_day="noon")


def test_labels_keep_their_order_their_number_and_their_columns(lake: str) -> None:
    frame = pl.DataFrame(
        {
            "y": [1, 2, 3, 4],
            "user_id": ["007", "nobody", "007", "007"],
            "label_at": [LATER, LATER, START - timedelta(1), LATER],
        }
    )
    found = training_set(frame, "user_features:country", lake=lake)
    assert found.drop("country").equals(frame)
    assert found["country"].to_list() == ["KR", None, None, "KR"]
    empty = training_set(frame.head(0), "user_features:country", lake=lake)
    assert empty.schema == found.schema


@pytest.mark.parametrize("kind", ["lazy", "arrow", "pandas"])
def test_labels_may_be_another_frame(lake: str, kind: str) -> None:
    frame = pl.DataFrame({"user_id": ["007"], "label_at": [LATER]})
    given = {"lazy": frame.lazy, "arrow": frame.to_arrow, "pandas": frame.to_pandas}[kind]()
    assert training_set(given, "user_features:country", lake=lake)["country"].to_list() == ["KR"]
    with pytest.raises(BadLabels, match="int cannot be read"):
        training_set(7, "user_features:country", lake=lake)


def test_a_lake_without_the_log_is_said(lake: str, tmp_path: Path) -> None:
    with pytest.raises(NoLog, match=r"no log of episode_features in .*features/episode_features"):
        one(lake, "episode_features:genre", episode_id="e1")
    with pytest.raises(NoLog):
        one(str(tmp_path / "nothing"), "user_features:country", user_id="007")


def test_a_log_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    log = tmp_path / "features" / "user_features"
    schema = polars_schema(VIEWS["user_features"].log_columns)
    pl.DataFrame([{**ROW, **ROWS["user_features"]}], schema=schema).write_delta(log)
    for file in log.glob("*.parquet"):
        file.unlink()
    with pytest.raises(NoLog, match=r"The log of user_features cannot be read: .*\.parquet"):
        one(str(tmp_path), "user_features:country", user_id="007")
    (commit,) = log.glob("_delta_log/*.json")
    commit.write_text("{", encoding="utf-8")
    with pytest.raises(NoLog, match=r"The log .*/user_features cannot be read: "):
        one(str(tmp_path), "user_features:country", user_id="007")


def test_the_lake_is_the_one_of_the_environment(lake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pl.DataFrame({"user_id": ["007"], "label_at": [LATER]})
    monkeypatch.setenv("USERFLOW_LAKE", lake)
    assert training_set(frame, ["user_features:country"])["country"][0] == "KR"
    monkeypatch.delenv("USERFLOW_LAKE")
    monkeypatch.setenv("USERFLOW_HOME", "/nowhere")
    with pytest.raises(NoLog, match="/nowhere/lake/features/user_features"):
        training_set(frame, ["user_features:country"])


def test_a_feature_that_the_table_does_not_have_yet_is_null(tmp_path: Path) -> None:
    schema = polars_schema(VIEWS["user_features"].log_columns)
    rows = pl.DataFrame([{**ROW, **ROWS["user_features"]}], schema=schema)
    rows.drop("top_genre_24h", "is_deleted").write_delta(f"{tmp_path}/features/user_features")
    found = one(
        str(tmp_path), ["user_features:country", "user_features:top_genre_24h"], user_id="007"
    )
    assert (found["country"], found["top_genre_24h"]) == ("KR", None)


@pytest.mark.parametrize("ttl", ["7", "7y", "-1d", "", timedelta(-1)])
def test_what_is_no_age_is_refused(lake: str, ttl: Any) -> None:
    frame = pl.DataFrame({"user_id": ["007"], "label_at": [LATER]})
    with pytest.raises(TrainingSetError, match="age"):
        training_set(frame, "user_features:country", lake=lake, ttl=ttl)


def test_a_mode_or_a_view_that_nobody_knows_is_refused(lake: str) -> None:
    frame = pl.DataFrame({"user_id": ["007"], "label_at": [LATER]})
    mode: Any = "sometime"
    with pytest.raises(TrainingSetError, match="as-served, event-time"):
        training_set(frame, "user_features:country", lake=lake, mode=mode)
    with pytest.raises(UnknownName, match="user_features"):
        training_set(frame, "user_features:country", lake=lake, ttl={"user_feature": "7d"})
