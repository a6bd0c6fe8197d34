"""The endpoints file is private, complete and exactly what interfaces promise."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.engine import make_url

from infra.database import conninfo_as, pipeline_conninfo, sqlalchemy_url
from infra.endpoints import Endpoints
from infra.errors import StackNotUp
from infra.stack.credentials import Credentials

SOME = Endpoints(kafka="h:1", postgres="postgresql://u:pw@h:2/d", redis="redis://:pw@h:3", lake="L")


def test_what_is_written_is_read_back_and_private(tmp_path: Path) -> None:
    SOME.write(tmp_path / "new home")
    file = tmp_path / "new home" / "endpoints.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert Endpoints.read(tmp_path / "new home") == SOME
    assert list(json.loads(file.read_text())) == [
        "kafka",
        "postgres",
        "redis",
        "api",
        "api_key",
        "lake",
    ]


@pytest.mark.parametrize("text", [None, "{", '{"kafka": 1}'])
def test_a_missing_or_broken_file_says_what_to_do(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "endpoints.json").write_text(text)
    with pytest.raises(StackNotUp, match="run `userflow up`"):
        Endpoints.read(tmp_path)


def test_no_password_shows_when_endpoints_are_printed() -> None:
    assert "pw" not in repr(SOME)
    assert "pw" not in f"{SOME}"


def test_a_connection_drops_to_its_role_and_keeps_other_options() -> None:
    url = "postgresql://u:p%40ss@h:2/d?options=-c%20jit%3Doff"
    parts = conninfo_to_dict(pipeline_conninfo(url))
    assert parts["options"] == "-c jit=off -c role=userflow_pipeline"
    assert parts["password"] == "p@ss"
    assert conninfo_to_dict(conninfo_as("postgresql://h/d", "r"))["options"] == "-c role=r"


def test_passwords_are_made_once(tmp_path: Path) -> None:
    first = Credentials(tmp_path / "s" / "secrets.json").ensure(["redis"])
    second = Credentials(tmp_path / "s" / "secrets.json").ensure(["redis", "postgres"])
    assert second["redis"] == first["redis"]
    assert len(second["postgres"]) >= 32
    assert stat.S_IMODE((tmp_path / "s" / "secrets.json").stat().st_mode) == 0o600


def test_sqlalchemy_reaches_the_same_database_whatever_the_password_holds() -> None:
    conninfo = conninfo_as("postgresql://u%40x:p%40%24%7BHOME%7D%2F@h:2/d?sslmode=require", "r r")
    url = make_url(sqlalchemy_url(conninfo))
    assert (url.username, url.password, url.host, url.port) == ("u@x", "p@${HOME}/", "h", 2)
    assert (url.database, url.query) == ("d", {"sslmode": "require", "options": "-c role=r r"})
    assert "$" not in sqlalchemy_url(conninfo), "Great Expectations would look for a variable"


def test_a_dashboard_is_told_for_as_long_as_one_is_served(tmp_path: Path) -> None:
    replace(SOME, dashboard="http://h:4").write(tmp_path)
    assert Endpoints.read(tmp_path).dashboard == "http://h:4"
    SOME.write(tmp_path)
    assert "dashboard" not in json.loads((tmp_path / "endpoints.json").read_text())
