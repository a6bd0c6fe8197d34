"""Does it answer? The same question for embedded and external services: None, or why not."""

from __future__ import annotations

from typing import Any

import psycopg
import redis
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

__all__ = ["SILENT", "probe_kafka", "probe_postgres", "probe_redis"]

SECONDS = 3
# The client would print every failed attempt to standard error.
SILENT: dict[str, Any] = {"log_level": 0, "error_cb": lambda _: None}


def probe_kafka(address: str) -> str | None:
    """Ask for the cluster's metadata."""
    admin = AdminClient({"bootstrap.servers": address, "socket.timeout.ms": 2000, **SILENT})
    try:
        brokers = admin.list_topics(timeout=SECONDS).brokers
    except KafkaException as error:
        return str(error.args[0].str())
    return None if brokers else "no broker has registered yet"


def probe_postgres(url: str) -> str | None:
    """Run a statement."""
    try:
        with psycopg.connect(url, connect_timeout=SECONDS) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error as error:
        return str(error).strip()
    return None


def probe_redis(url: str) -> str | None:
    """Send a PING."""
    client = redis.Redis.from_url(url, socket_connect_timeout=SECONDS, socket_timeout=SECONDS)
    try:
        client.ping()
    except redis.RedisError as error:  # also while it still loads its file
        return str(error)
    finally:
        client.close()
    return None
