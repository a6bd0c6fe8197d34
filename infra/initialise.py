"""`userflow init`: topics, schemas, tables and roles, from the declarations; safe to run again."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from infra.api_keys import ensure_local_key
from infra.dimensions import load_dimensions
from infra.endpoints import Endpoints
from infra.grants import create_roles, grant
from infra.settings import Settings
from infra.stack.credentials import Credentials
from infra.topics import TopicReport, create_topics

__all__ = ["InitReport", "initialise"]

SCHEMAS = ("online", "raw", "dim", "staging", "marts", "hive", "ops")
# Any fixed number: two inits at once take turns on it, for one transaction.
LOCK = 7_305_121_004


@dataclass(frozen=True, slots=True, kw_only=True)
class InitReport:
    """What was there and what was made."""

    topics: TopicReport
    statements: int

    def to_json(self) -> dict[str, object]:
        """The public form."""
        return {
            "topics_created": list(self.topics.created),
            "topics_kept": list(self.topics.kept),
            "warnings": list(self.topics.warnings),
            "statements": self.statements,
        }

    def lines(self) -> list[str]:
        """For people."""
        topics = self.topics
        first = f"topics: {len(topics.created)} created, {len(topics.kept)} were there"
        return [first, f"tables: {self.statements} statements applied", *topics.warnings]


def initialise(endpoints: Endpoints, settings: Settings, credentials: Credentials) -> InitReport:
    """Bring Kafka and PostgreSQL to what is declared; nothing that exists is changed or lost."""
    from features.topics import TOPICS  # noqa: PLC0415 - declarations are not needed to start

    topics = create_topics(endpoints.kafka, TOPICS, is_external=settings.kafka is not None)
    statements = _apply_ddl(endpoints.postgres, credentials)
    ensure_local_key(settings.home)
    return InitReport(topics=topics, statements=statements)


def _apply_ddl(url: str, credentials: Credentials) -> int:
    from features.tables import ddl, pii_columns  # noqa: PLC0415

    statements = ddl()
    with psycopg.connect(url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        connection.execute("SET LOCAL client_min_messages = warning")  # "exists, skipping"
        for schema in SCHEMAS:
            create = sql.SQL("CREATE SCHEMA IF NOT EXISTS {}")
            connection.execute(create.format(sql.Identifier(schema)))
        for statement in statements:
            connection.execute(statement)
        load_dimensions(connection)
        create_roles(connection, credentials)
        grant(connection, pii_columns())
    return len(statements)
