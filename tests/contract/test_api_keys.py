"""API keys: made once, kept as a hash, and ended within five seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from served import served
from stacks import settings_for

from infra.api_keys import create_key, ensure_local_key, list_keys, revoke_key
from infra.database import ANALYST, PIPELINE, RECOMMENDER, ROLES, conninfo_as
from infra.endpoints import Endpoints
from infra.errors import KeyRefused
from serving.api.keys import hash_of

pytestmark = pytest.mark.stack
ENTITY = "/v1/features/user_features/nobody"


@pytest.fixture(scope="module")
def address(stack: Endpoints, stack_home: Path) -> Iterator[str]:
    with served(settings_for(stack_home), stack) as at:
        yield at


def status(address: str, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.get(f"{address}{ENTITY}", headers=headers).status_code


def userflow(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra", *arguments],
        env={**os.environ, "USERFLOW_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_new_key_is_good_at_once_and_a_revoked_one_within_five_seconds(
    stack: Endpoints, address: str
) -> None:
    key_id, key = create_key(stack.postgres, ["read"], "test")
    assert status(address, key) == 404
    revoke_key(stack.postgres, key_id)
    began = time.monotonic()
    while status(address, key) != 401:
        assert time.monotonic() - began < 5
        time.sleep(0.1)


def test_a_key_is_in_the_database_as_a_hash_only(stack: Endpoints) -> None:
    key_id, key = create_key(stack.postgres, ["read"], "test")
    with psycopg.connect(stack.postgres) as owner:
        found = owner.execute("SELECT * FROM ops.api_keys WHERE key_id = %s", [key_id]).fetchone()
    assert found is not None
    assert key not in str(found)
    assert hash_of(key) in found
    assert key not in str(list_keys(stack.postgres))


@pytest.mark.parametrize("scopes", [[], ["write"], ["read", "everything"]])
def test_scopes_are_those_that_there_are(stack: Endpoints, scopes: list[str]) -> None:
    with pytest.raises(KeyRefused, match="collect, read, admin"):
        create_key(stack.postgres, scopes, "test")


def test_what_is_not_there_cannot_be_revoked(stack: Endpoints) -> None:
    with pytest.raises(KeyRefused, match="keys list"):
        revoke_key(stack.postgres, "nothing")


def test_the_endpoints_file_holds_a_key_with_every_scope(
    stack: Endpoints, stack_home: Path, address: str
) -> None:
    before = Endpoints.read(stack_home).api_key
    assert before is not None
    assert status(address, before) == 404
    ensure_local_key(stack_home)
    assert Endpoints.read(stack_home).api_key == before
    assert (stack_home / "endpoints.json").stat().st_mode & 0o077 == 0


def test_a_key_that_was_revoked_is_replaced_in_the_endpoints_file(
    stack: Endpoints, stack_home: Path
) -> None:
    before = Endpoints.read(stack_home).api_key
    with psycopg.connect(stack.postgres) as owner:
        owner.execute("DELETE FROM ops.api_keys WHERE key_hash = %s", [hash_of(before or "")])
    ensure_local_key(stack_home)
    assert Endpoints.read(stack_home).api_key not in (None, before)


def test_the_commands(stack_home: Path, address: str) -> None:
    made = userflow(stack_home, "keys", "create", "--scopes", "collect,read", "--name", "shop")
    key = made.stdout.strip()
    assert (made.returncode, len(key.split())) == (0, 1)
    assert status(address, key) == 404
    listed = userflow(stack_home, "keys", "list", "--json")
    one: dict[str, Any] = next(o for o in json.loads(listed.stdout) if o["name"] == "shop")
    assert (one["scopes"], one["revoked_at"]) == (["collect", "read"], None)
    assert key not in listed.stdout
    assert userflow(stack_home, "keys", "revoke", one["key_id"]).returncode == 0
    assert userflow(stack_home, "keys", "revoke", "nothing").returncode == 1
    assert userflow(stack_home, "keys", "create").returncode == 2


@pytest.mark.parametrize("role", ROLES)
def test_no_role_reads_or_makes_keys(stack: Endpoints, role: str) -> None:
    for statement in (
        "SELECT * FROM ops.api_keys",
        "INSERT INTO ops.api_keys VALUES ('x', 'x', 'x', '{read}', now(), NULL)",
        "UPDATE ops.api_keys SET revoked_at = NULL",
        "DELETE FROM ops.api_keys",
    ):
        with (
            psycopg.connect(conninfo_as(stack.postgres, role)) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement)  # type: ignore[arg-type]


def test_the_recommender_alone_may_look_who_is_calling(stack: Endpoints) -> None:
    query = "SELECT key_id FROM online.active_api_keys()"
    with psycopg.connect(conninfo_as(stack.postgres, RECOMMENDER)) as connection:
        assert connection.execute(query).fetchall()
    for role in (ANALYST, PIPELINE):
        with (
            psycopg.connect(conninfo_as(stack.postgres, role)) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(query)
