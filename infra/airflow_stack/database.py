"""Airflow's metadata: a database of its own beside ours, with a role that can reach nothing else.

PostgreSQL and not SQLite: a scheduler, the tasks' API and the parser of DAGs write at once, and
SQLite has one writer.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from infra.errors import ServiceError

__all__ = ["DATABASE", "ROLE", "ensure_metadata"]

DATABASE, ROLE = "airflow", "userflow_airflow"
CREATE, ALTER = "CREATE ROLE {} LOGIN PASSWORD {}", "ALTER ROLE {} PASSWORD {}"
KEPT = ("sslmode", "sslrootcert")


def ensure_metadata(owner: str, password: str) -> str:
    """Make the role and the database if they are missing; returns SQLAlchemy's URL.

    `owner` is the URL of our own database, whose role may create others; raises `ServiceError`.
    """
    try:
        with psycopg.connect(owner, autocommit=True) as connection:
            _ensure_role(connection, password)
            _ensure_database(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        raise ServiceError(
            f"Our role may not create what Airflow needs ({error.diag.message_primary}): give it "
            "CREATEROLE and CREATEDB, or use the embedded PostgreSQL."
        ) from error
    except psycopg.OperationalError as error:
        raise ServiceError(
            f"PostgreSQL does not answer ({type(error).__name__}): run `userflow up` first."
        ) from error
    return _url(owner, password)


def _ensure_role(connection: psycopg.Connection[Any], password: str) -> None:
    known = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [ROLE]).rowcount
    statement = sql.SQL(ALTER if known else CREATE)
    # Hashed here, so that no statement and no log ever holds the password.
    hashed = connection.pgconn.encrypt_password(password.encode(), ROLE.encode())
    connection.execute(statement.format(sql.Identifier(ROLE), sql.Literal(hashed.decode())))
    connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(ROLE)))


def _ensure_database(connection: psycopg.Connection[Any]) -> None:
    known = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
    if known is None:
        create = sql.SQL("CREATE DATABASE {} OWNER {}")
        connection.execute(create.format(sql.Identifier(DATABASE), sql.Identifier(ROLE)))
        close = sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC")
        connection.execute(close.format(sql.Identifier(DATABASE)))


def _url(owner: str, password: str) -> str:
    known = conninfo_to_dict(owner)
    place = f"{known.get('host', 'localhost')}:{known.get('port', 5432)}/{DATABASE}"
    options = urlencode({name: known[name] for name in KEPT if name in known})
    login = f"{ROLE}:{quote(password, safe='')}"
    return f"postgresql+psycopg://{login}@{place}{'?' if options else ''}{options}"
