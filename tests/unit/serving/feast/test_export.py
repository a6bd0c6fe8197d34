"""The Feast repository as text and as files; the real Feast reads it in tests/e2e/test_feast.py."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from features.views import VIEWS
from infra.cli import main
from serving.feast.declared import ENTITIES
from serving.feast.files import ExportRefused, write_files
from serving.feast.repository import KEY_VARIABLE, Repository, repository_files
from serving.online.served import SERVED

FILES = repository_files(Repository(api="http://127.0.0.1:1234/", lake="/data/lake/"))


def calls_of(text: str, name: str) -> dict[str, dict[str, Any]]:
    """The calls of that name at the top of the module, by the `name` they give."""
    found = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            call = node.value
            if isinstance(call.func, ast.Name) and call.func.id == name:
                given = {keyword.arg: keyword.value for keyword in call.keywords}
                found[ast.literal_eval(given["name"])] = given
    return found


def test_every_view_and_every_feature_is_in_it_with_its_type() -> None:
    views = calls_of(FILES["features.py"], "FeatureView")
    assert views.keys() == SERVED.keys()
    for name, view in SERVED.items():
        fields = [
            {keyword.arg: ast.unparse(keyword.value) for keyword in field.keywords}
            for field in views[name]["schema"].elts
        ]
        assert [ast.literal_eval(field["name"]) for field in fields] == [
            *view.key,
            *(column.name for column in view.features),
        ]
    of_reader = {
        ast.literal_eval(field.keywords[0].value): ast.unparse(field.keywords[1].value)
        for field in views["user_features"]["schema"].elts
    }
    assert of_reader["read_count_1h"] == "Int64"
    assert of_reader["avg_completion_rate_7d"] == "Float64"
    assert of_reader["last_episode_ids"] == "Array(String)"
    assert of_reader["last_seen_at"] == "UnixTimestamp"


def test_streamed_views_have_their_log_as_history() -> None:
    sources = calls_of(FILES["features.py"], "FileSource")
    assert sources.keys() == {f"{name}_log" for name in VIEWS}
    given = {name: ast.unparse(value) for name, value in sources["user_features_log"].items()}
    assert given["path"] == "'/data/lake/features/user_features'"
    assert given["timestamp_field"] == "'event_at'"
    assert given["created_timestamp_column"] == "'available_at'"
    published = SERVED.keys() - VIEWS.keys()
    views = calls_of(FILES["features.py"], "FeatureView")
    assert published
    assert all("source" not in views[name] for name in published)


def test_history_can_be_joined_as_it_was_served() -> None:
    served = repository_files(Repository(api="a", lake="s3a://b/lake", is_as_served=True))
    source = calls_of(served["features.py"], "FileSource")["user_features_log"]
    assert ast.unparse(source["timestamp_field"]) == "'available_at'"
    assert "created_timestamp_column" not in source
    assert ast.unparse(source["path"]) == "'s3://b/lake/features/user_features'"


def test_entities_are_join_keys_and_services_are_views() -> None:
    entities = calls_of(FILES["features.py"], "Entity")
    assert entities.keys() == ENTITIES.keys() == {k for view in SERVED.values() for k in view.key}
    assert ast.unparse(entities["hour_of_day"]["value_type"]) == "ValueType.INT32"
    assert calls_of(FILES["features.py"], "FeatureService").keys() == SERVED.keys()


def test_the_online_store_is_our_api_and_no_key_is_written() -> None:
    store = yaml.safe_load(FILES["feature_store.yaml"])
    assert store["online_store"] == {"type": "remote", "path": "http://127.0.0.1:1234"}
    assert store["auth"] == {"type": "oidc", "token_env_var": KEY_VARIABLE}


def test_what_an_export_wrote_is_replaced(tmp_path: Path) -> None:
    first = write_files(tmp_path / "new" / "repo", {"a.py": "x = 1\n", "b.py": "y = 1\n"})
    assert first.changed == first.files == (tmp_path / "new/repo/a.py", tmp_path / "new/repo/b.py")
    again = write_files(tmp_path / "new" / "repo", {"a.py": "x = 2\n", "b.py": "y = 1\n"})
    assert again.changed == (tmp_path / "new/repo/a.py",)
    assert (tmp_path / "new/repo/a.py").read_text().endswith("\nx = 2\n")


@pytest.mark.parametrize("theirs", ["x = 5\n", b"\xff\xfe", "edited"])
def test_what_others_wrote_stays_unless_forced(tmp_path: Path, theirs: str | bytes) -> None:
    path = tmp_path / "b.py"
    if theirs == "edited":
        write_files(tmp_path, {"b.py": "y = 1\n"})
        path.write_text(path.read_text() + "z = 2\n")
    else:
        path.write_bytes(theirs if isinstance(theirs, bytes) else theirs.encode())
    before = path.read_bytes()
    with pytest.raises(ExportRefused, match=r"b\.py was written or changed by somebody else"):
        write_files(tmp_path, {"a.py": "x = 1\n", "b.py": "y = 1\n"})
    assert path.read_bytes() == before
    assert not (tmp_path / "a.py").exists()
    assert (
        len(write_files(tmp_path, {"a.py": "x = 1\n", "b.py": "y = 1\n"}, force=True).changed) == 2
    )


def test_a_folder_that_cannot_be_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExportRefused, match="cannot be written"):
        write_files(tmp_path / "file" / "repo", {"a.py": ""})


def test_the_command_tells_what_it_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERFLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERFLOW_LAKE", "lake")
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    arguments = ["feast", "export", str(tmp_path / "repo"), "--api", "http://x:1", "--json"]
    done = json.loads(run(main, arguments).output)
    assert done["api"] == "http://x:1"
    assert (
        done["files"]
        == done["changed"]
        == [str(tmp_path / "repo" / name) for name in ("feature_store.yaml", "features.py")]
    )
    assert f'path="{tmp_path}/lake/features/' in (tmp_path / "repo" / "features.py").read_text()
    assert json.loads(run(main, arguments).output)["changed"] == []
    (tmp_path / "repo" / "features.py").write_text("mine = 1\n")
    refused = run(main, arguments)
    assert refused.exit_code == 1
    assert "say --force" in refused.output
    assert run(main, [*arguments, "--force"]).exit_code == 0
    assert not (tmp_path / "home").exists()
