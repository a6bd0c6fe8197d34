"""Passwords stay in private files, and a role may do what stands here and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from secrets_found import files_with, passwords, processes_showing, readable_by_others
from stacks import settings_for

from features.breaker import Limits, SourceHealth
from features.marts import PUBLISHED
from features.tables import pii_columns
from features.views import VIEWS
from infra.database import ANALYST, PIPELINE, RECOMMENDER, ROLES, conninfo_as
from infra.endpoints import Endpoints
from infra.stack.stack import Stack
from streaming.sinks.source_health import PostgresHealthStore
from streaming.source_watch import HealthStoreAway

pytestmark = pytest.mark.stack
NOBODY = "nobody_in_particular"
WRITTEN = ("online", "raw", "dim", "marts", "ops")
WRITES = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")
DECLARED = {f"online.{name}" for name in (*VIEWS, *PUBLISHED, "source_health")}
RIGHTS = """
SELECT n.nspname || '.' || c.relname, r.privilege
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
    unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER',
        'MAINTAIN']) AS r (privilege)
WHERE n.nspname = ANY(%(schemas)s) AND c.relkind IN ('r', 'p', 'v', 'm')
    AND has_table_privilege(%(role)s, c.oid, r.privilege)"""
TABLES = """
SELECT table_schema || '.' || table_name FROM information_schema.tables
WHERE table_schema = ANY(%s)"""
COLUMNS = """
SELECT table_schema || '.' || table_name, column_name FROM information_schema.columns
WHERE table_schema = 'online' AND has_column_privilege(%s,
    format('%%I.%%I', table_schema, table_name), column_name, %s)"""
MAKES = """
SELECT nspname FROM pg_namespace
WHERE nspname !~ '^pg_' AND has_schema_privilege(%s, oid, 'CREATE')"""

Rights = set[tuple[str, str]]


@pytest.fixture
def owner(stack: Endpoints) -> Iterator[psycopg.Connection]:
    """The owner's connection, with a role that nothing was given to; nothing of it is kept."""
    with psycopg.connect(stack.postgres) as connection:
        connection.execute(f"CREATE ROLE {NOBODY}")
        yield connection
        connection.rollback()


def rights(owner: psycopg.Connection, role: str, *schemas: str) -> Rights:
    found = owner.execute(RIGHTS, {"role": role, "schemas": list(schemas)}).fetchall()
    return set(found)


def tables(owner: psycopg.Connection, *schemas: str) -> set[str]:
    return {name for (name,) in owner.execute(TABLES, [list(schemas)])}


def test_the_pipeline_reads_and_writes_every_table_but_the_metastores_and_the_keys(
    owner: psycopg.Connection,
) -> None:
    written = tables(owner, *WRITTEN)
    assert "ops.api_keys" in written
    expected = {
        (table, right) for table in written - {"ops.api_keys"} for right in ("SELECT", *WRITES)
    }
    assert {("ops.alerts", "INSERT"), ("ops.source_health", "UPDATE")} <= expected
    assert rights(owner, PIPELINE, *WRITTEN, "public") == expected


def test_the_recommender_reads_online_and_that_is_all(owner: psycopg.Connection) -> None:
    expected = {(table, "SELECT") for table in tables(owner, "online")}
    assert ("online.source_health", "SELECT") in expected
    assert rights(owner, RECOMMENDER, *WRITTEN, "hive", "public") == expected


def test_the_analyst_reads_marts_dimensions_and_what_is_no_personal_data(
    owner: psycopg.Connection,
) -> None:
    expected = {(table, "SELECT") for table in tables(owner, "dim", "marts")}
    assert rights(owner, ANALYST, "raw", "dim", "marts", "ops", "hive", "public") == expected
    # What other tests made after `init` is not declared.
    seen = {
        (table, column)
        for table, column in owner.execute(COLUMNS, [ANALYST, "SELECT"])
        if table in DECLARED
    }
    every = {
        (f"online.{view.name}", c.name)
        for view in (*VIEWS.values(), *PUBLISHED.values())
        for c in view.online_columns
    }
    hidden = {(table, column) for table, columns in pii_columns().items() for column in columns}
    health = {(table, column) for table, column in seen if table == "online.source_health"}
    assert len(hidden) > 0
    assert seen - health == every - hidden
    assert len(health) == 6
    assert not owner.execute(COLUMNS, [ANALYST, "UPDATE"]).fetchall()


def test_nobody_else_reads_anything(owner: psycopg.Connection) -> None:
    assert rights(owner, NOBODY, *WRITTEN, "hive", "public") == set()
    for database in ("userflow", "postgres", "template1"):
        may = "SELECT has_database_privilege(%s, %s, 'CONNECT')"
        assert owner.execute(may, [NOBODY, database]).fetchone() == (False,)


@pytest.mark.parametrize("role", [*ROLES, NOBODY])
def test_no_role_makes_tables_but_the_pipeline_those_of_the_metastore_and_of_dbt(
    owner: psycopg.Connection, role: str
) -> None:
    made_in = {name for (name,) in owner.execute(MAKES, [role])}
    assert made_in == ({"hive", "staging", "marts"} if role == PIPELINE else set())


@pytest.mark.parametrize("role", [RECOMMENDER, ANALYST])
def test_only_the_pipeline_marks_a_source(stack: Endpoints, role: str) -> None:
    health = SourceHealth(
        topic="user-events", is_degraded=True, since_us=0, seen=1, share=1, reason="late"
    )
    with pytest.raises(HealthStoreAway, match="InsufficientPrivilege"):
        PostgresHealthStore(conninfo_as(stack.postgres, role)).put(health, Limits())


def test_every_role_and_service_has_a_long_password_of_its_own(stack_home: Path) -> None:
    made = passwords(stack_home)
    assert len(made) == len(set(made)) == len(ROLES) + 2
    assert min(map(len, made)) >= 32


def test_passwords_stand_in_private_files_only(stack: Endpoints, stack_home: Path) -> None:
    held = files_with(passwords(stack_home), stack_home)
    assert held == {"services/secrets.json", "services/redis/redis.conf", "endpoints.json"}
    assert readable_by_others(stack_home / name for name in held) == set()


def test_what_services_log_is_private(stack: Endpoints, stack_home: Path) -> None:
    logs = set((stack_home / "services").rglob("*.log"))
    assert len(logs) >= 3
    assert readable_by_others(logs) == set()


def test_no_process_of_the_stack_shows_a_password(stack: Endpoints, stack_home: Path) -> None:
    services = Stack(settings_for(stack_home)).status().values()
    pids = [one.pid for one in services if one.pid]
    assert len(pids) == 3
    assert processes_showing(passwords(stack_home), pids) == []
    # The family of PostgreSQL is looked at too.
    assert "postgres" in processes_showing(["postgres"], pids)
