"""How our programs connect to PostgreSQL: as the owner's login, but with the rights of one role.

The endpoints file holds one URL; what a program may do is decided by the role it drops to, so that
a stream can never alter a table and a reader can never write one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from infra.errors import ServiceError

__all__ = [
    "ANALYST",
    "PIPELINE",
    "RECOMMENDER",
    "ROLES",
    "analyst_conninfo",
    "conninfo_as",
    "jdbc_options",
    "jdbc_url",
    "pipeline_conninfo",
    "postgres_answers",
    "recommender_conninfo",
    "sqlalchemy_url",
]

PIPELINE = "userflow_pipeline"
RECOMMENDER = "userflow_recommender"
ANALYST = "userflow_analyst"
ROLES = (PIPELINE, RECOMMENDER, ANALYST)


def conninfo_as(url: str, role: str) -> str:
    """The connection string that starts every session as `role`."""
    options = conninfo_to_dict(url).get("options")
    return make_conninfo(url, options=f"{options or ''} -c role={role}".strip())


def pipeline_conninfo(url: str) -> str:
    """For what writes features: streams, backfills, batch jobs."""
    return conninfo_as(url, PIPELINE)


def recommender_conninfo(url: str) -> str:
    """For what only reads online features."""
    return conninfo_as(url, RECOMMENDER)


def analyst_conninfo(url: str) -> str:
    """For what reads marts, dimensions and online features without personal data."""
    return conninfo_as(url, ANALYST)


@contextmanager
def postgres_answers() -> Iterator[None]:
    """What PostgreSQL does not answer in this block, or cannot without our tables, is a
    `ServiceError`.
    """
    unknown = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)
    try:
        yield
    except (psycopg.OperationalError, *unknown) as error:
        reason = error.diag.message_primary or str(error).strip().partition("\n")[0]
        raise ServiceError(
            f"PostgreSQL does not answer as it should ({reason}): look at `userflow status`, start "
            "it with `userflow up`, and run `userflow init` if it never ran."
        ) from error


def jdbc_options(url: str) -> dict[str, str]:
    """The pipeline's connection as Spark takes it; Spark hides the password where it shows them."""
    known = conninfo_to_dict(url)
    return {
        "url": jdbc_url(url),
        "driver": "org.postgresql.Driver",
        "user": str(known["user"]),
        "password": str(known.get("password", "")),
    }


def jdbc_url(url: str, **more: str) -> str:
    """Where it is, with the pipeline's rights and without user and password."""
    known = conninfo_to_dict(url)
    where = f"{known['host']}:{known.get('port', 5432)}/{known['dbname']}"
    options = urlencode({**more, "options": f"-c role={PIPELINE}"}, quote_via=quote)
    return f"jdbc:postgresql://{where}?{options}"


def sqlalchemy_url(conninfo: str) -> str:
    """The same connection as SQLAlchemy and psycopg2 take it; holds the password."""
    rest = {name: str(value) for name, value in conninfo_to_dict(conninfo).items()}
    user, password = (quote(rest.pop(name, ""), safe="") for name in ("user", "password"))
    place = f"{rest.pop('host', '')}:{rest.pop('port', '5432')}/{rest.pop('dbname', '')}"
    query = urlencode(rest, quote_via=quote)
    return f"postgresql+psycopg2://{user}:{password}@{place}?{query}"
