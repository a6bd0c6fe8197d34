"""`userflow training-set`: files in, a file out, and what is said of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from infra.cli import main
from serving.training import files, training_set
from serving.training.errors import BadOutput


def run(lake: str, *arguments: str) -> Any:
    return CliRunner().invoke(main, ["training-set", *arguments], env={"USERFLOW_LAKE": lake})


def test_an_id_of_digits_is_a_text(lake: str, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("user_id,label_at\n007,2026-01-01T00:01:00Z\n", encoding="utf-8")
    assert training_set(labels, "user_features:country", lake=lake).rows() == [
        ("007", "2026-01-01T00:01:00Z", "KR")
    ]


def test_what_was_written_in_part_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_disk(_: pl.DataFrame, path: Path) -> None:
        path.write_text("half", encoding="utf-8")
        raise OSError("No space left on device")

    monkeypatch.setattr(files, "WRITERS", {".csv": fill_the_disk})
    out = tmp_path / "set.csv"
    out.write_text("old", encoding="utf-8")
    with pytest.raises(BadOutput, match="cannot be written: No space left on device"):
        files.write_set(pl.DataFrame({"y": [1]}), out)
    assert list(tmp_path.iterdir()) == [out]
    assert out.read_text(encoding="utf-8") == "old"


FILES = {
    "labels.csv": "y,user_id,label_at\n1,007,2026-01-01T00:01:00Z\n2,x,2026-01-01\n",
    "labels.jsonl": '{"y":1,"user_id":"007","label_at":"2026-01-01T00:01:00Z"}\n'
    '{"y":2,"user_id":"x","label_at":"2026-01-01"}\n',
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_the_command_writes_labels_with_features(
    lake: str, tmp_path: Path, name: str, suffix: str
) -> None:
    labels, out = tmp_path / name, tmp_path / f"set{suffix}"
    labels.write_text(FILES[name], encoding="utf-8")
    features = "user_features:country,user_features:last_episode_ids,user_features:top_genre_24h"
    done = run(lake, "--labels", str(labels), "--features", features, "--out", str(out), "--json")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["rows"] == 2
    assert said["features"]["country"] == {"matched": 0.5, "not_null": 0.5}
    assert said["features"]["top_genre_24h"] == {"matched": 0.5, "not_null": 0.0}
    assert said["bytes"] == out.stat().st_size
    found = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".jsonl": pl.read_ndjson}[suffix](
        out
    )
    assert found["y"].to_list() == [1, 2]
    assert found["country"].to_list() == ["KR", None]
    lists = [["e1", "e2"], None]
    assert found["last_episode_ids"].to_list() == (
        ['["e1","e2"]', None] if suffix == ".csv" else lists
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, out.name])


def test_the_command_tells_people_what_matched(lake: str, tmp_path: Path) -> None:
    labels, out = tmp_path / "labels.csv", tmp_path / "set.parquet"
    labels.write_text(FILES["labels.csv"], encoding="utf-8")
    features = "user_features:country,user_features:top_genre_24h"
    given = ("--labels", str(labels), "--features", features, "--out", str(out))
    done = run(lake, *given, "--event-time", "--ttl", "30s", "--ttl", "session_features=1h")
    assert done.exit_code == 0, done.output
    assert re.search(r"^country +0\.0% matched +0\.0% not null$", done.stdout, re.MULTILINE)
    assert re.search(r"^2 rows, .* MiB in .*set\.parquet, .* s$", done.stdout, re.MULTILINE)
    assert "user_features: 2 labels, 1 rows of the log" in done.stderr
    done = run(lake, *given, "--ttl", "user_features=2m")
    assert re.search(r"^country +50\.0% matched +50\.0% not null$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"--labels": "missing.csv"}, "cannot be read"),
        ({"--labels": "labels.txt"}, "expected .parquet, .csv, .jsonl"),
        ({"--labels": "broken.parquet"}, "cannot be read"),
        ({"--out": "set.txt"}, "expected .parquet, .csv, .jsonl"),
        ({"--out": "nowhere/set.csv"}, "cannot be written"),
        ({"--features": "user_features:county"}, "country"),
        ({"--features": "user_features_daily:top_genre"}, "keeps no log"),
        ({"--ttl": "soon"}, "'soon' is no age"),
    ],
    ids=str,
)
def test_the_command_says_what_is_wrong(
    lake: str, tmp_path: Path, changed: dict[str, str], said: str
) -> None:
    for name in ("labels.csv", "labels.txt", "broken.parquet"):
        (tmp_path / name).write_text(FILES["labels.csv"], encoding="utf-8")
    given = {"--labels": "labels.csv", "--features": "user_features:country", "--out": "set.csv"}
    given |= changed
    for option in ("--labels", "--out"):
        given[option] = str(tmp_path / given[option])
    done = run(lake, *(word for pair in given.items() for word in pair))
    assert done.exit_code == 1
    assert said in done.output
    assert "Traceback" not in done.output
    assert "rows of the log" not in done.output  # nobody has waited to hear it
    assert not (tmp_path / "set.csv").exists()


def test_a_set_that_cannot_be_written_leaves_the_old_one(lake: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("user_id,label_at\n007,soon\n", encoding="utf-8")
    out = tmp_path / "set.csv"
    out.write_text("old", encoding="utf-8")
    labels = str(tmp_path / "labels.csv")
    done = run(lake, "--labels", labels, "--features", "user_features:country", "--out", str(out))
    assert done.exit_code == 1
    assert "'soon' is not ISO-8601" in done.output
    assert out.read_text(encoding="utf-8") == "old"


def test_one_age_or_one_for_each_view(lake: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(FILES["labels.csv"], encoding="utf-8")
    given = ("--labels", str(tmp_path / "labels.csv"), "--features", "user_features:country")
    done = run(lake, *given, "--out", str(tmp_path / "o.csv"), "--ttl", "1d", "--ttl", "2d")
    assert done.exit_code == 2
    assert "Say one age, or VIEW=AGE; found 1d, 2d." in done.output
