"""Who may do what in PostgreSQL: three roles, and nothing for anybody else.

The pipeline writes; the recommender reads online features; the analyst reads marts, dimensions and
those online columns that are no personal data. API keys are the owner's alone. Everything here can
run again and again: `init` after a new table extends the grants to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from infra.database import ANALYST, PIPELINE, RECOMMENDER, ROLES
from infra.stack.credentials import Credentials

__all__ = ["create_roles", "grant"]

WRITTEN = ("online", "raw", "dim", "marts", "ops")
READ_BY_ANALYST = ("marts", "dim")
EVERY = ("online", "raw", "dim", "staging", "marts", "hive", "ops", "public")
# The metastore and dbt make their tables themselves.
MADE_BY_PIPELINE = ("hive", "staging", "marts")
WRITES = "SELECT, INSERT, UPDATE, DELETE, TRUNCATE"

Connection = psycopg.Connection[Any]


def create_roles(connection: Connection, credentials: Credentials) -> None:
    """Create the roles that are missing; our own login may act as each of them."""
    passwords = credentials.ensure(ROLES)
    for role in ROLES:
        name = sql.Identifier(role)
        if not _exists(connection, role):
            # Hashed here, so that no statement and no log ever holds the password.
            hashed = connection.pgconn.encrypt_password(passwords[role].encode(), role.encode())
            create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
            connection.execute(create.format(name, sql.Literal(hashed.decode())))
        connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(name))


def grant(connection: Connection, pii: Mapping[str, Sequence[str]]) -> None:
    """Take everything from PUBLIC, then give each role its part."""
    _revoke_public(connection)
    _grant_connect(connection)
    for schema in WRITTEN:
        _grant_schema(connection, schema, WRITES, PIPELINE)
        _run(connection, "GRANT USAGE ON ALL SEQUENCES IN SCHEMA {} TO {}", schema, PIPELINE)
    for schema in MADE_BY_PIPELINE:
        _run(connection, "GRANT USAGE, CREATE ON SCHEMA {} TO {}", schema, PIPELINE)
    _grant_schema(connection, "online", "SELECT", RECOMMENDER)
    _grant_keys(connection)
    for schema in READ_BY_ANALYST:
        _grant_schema(connection, schema, "SELECT", ANALYST)
    _run(connection, "GRANT USAGE ON SCHEMA {} TO {}", "online", ANALYST)
    # No default privilege here: a later table may hold personal data; `init` decides by column.
    for table, columns in _columns(connection, ("online", *READ_BY_ANALYST)).items():
        _grant_columns(connection, table, columns, set(pii.get(table, ())))


def _grant_keys(connection: Connection) -> None:
    """Keys are made by the owner alone; the API, as the recommender, may look who is calling."""
    _run(connection, "REVOKE ALL ON {}.{} FROM {}", "ops", "api_keys", PIPELINE)
    active = ("online", "active_api_keys")
    _run(connection, "REVOKE ALL ON FUNCTION {}.{}() FROM PUBLIC", *active)
    _run(connection, "GRANT EXECUTE ON FUNCTION {}.{}() TO {}", *active, RECOMMENDER)


def _exists(connection: Connection, role: str) -> bool:
    found = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role])
    return found.fetchone() is not None


def _run(connection: Connection, statement: str, *names: str) -> None:
    connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _revoke_public(connection: Connection) -> None:
    _run(connection, "REVOKE ALL ON DATABASE {} FROM PUBLIC", connection.info.dbname)
    for schema in EVERY:
        _run(connection, "REVOKE ALL ON SCHEMA {} FROM PUBLIC", schema)
        _run(connection, "REVOKE ALL ON ALL TABLES IN SCHEMA {} FROM PUBLIC", schema)
    connection.execute("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC")


def _grant_connect(connection: Connection) -> None:
    for role in ROLES:
        _run(connection, "GRANT CONNECT ON DATABASE {} TO {}", connection.info.dbname, role)
    # The upsert goes through a temporary table.
    _run(connection, "GRANT TEMPORARY ON DATABASE {} TO {}", connection.info.dbname, PIPELINE)


def _grant_schema(connection: Connection, schema: str, rights: str, role: str) -> None:
    """All tables of a schema, those of today and those that its owner makes later."""
    _run(connection, "GRANT USAGE ON SCHEMA {} TO {}", schema, role)
    now = sql.SQL("GRANT {} ON ALL TABLES IN SCHEMA {} TO {}")
    later = sql.SQL("ALTER DEFAULT PRIVILEGES IN SCHEMA {1} GRANT {0} ON TABLES TO {2}")
    for statement in (now, later):
        names = (sql.Identifier(schema), sql.Identifier(role))
        connection.execute(statement.format(sql.SQL(rights), *names))


def _columns(connection: Connection, schemas: Iterable[str]) -> dict[str, list[str]]:
    rows = connection.execute(
        "SELECT table_schema || '.' || table_name, array_agg(column_name::text) "
        "FROM information_schema.columns WHERE table_schema = ANY(%s) GROUP BY 1",
        [list(schemas)],
    )
    return dict(rows.fetchall())


def _grant_columns(
    connection: Connection, table: str, columns: Sequence[str], hidden: set[str]
) -> None:
    """Give the analyst the whole table, or, where it holds personal data, the other columns."""
    schema, _, name = table.partition(".")
    if not hidden:
        _run(connection, "GRANT SELECT ON {}.{} TO {}", schema, name, ANALYST)
        return
    visible = sql.SQL(", ").join(sql.Identifier(c) for c in columns if c not in hidden)
    target = sql.Identifier(schema, name)
    revoke = sql.SQL("REVOKE SELECT ON {} FROM {}")  # also takes back column grants
    connection.execute(revoke.format(target, sql.Identifier(ANALYST)))
    if not set(columns) <= hidden:
        allow = sql.SQL("GRANT SELECT ({}) ON {} TO {}")
        connection.execute(allow.format(visible, target, sql.Identifier(ANALYST)))
