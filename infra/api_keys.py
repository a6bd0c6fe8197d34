"""API keys as the owner of the database keeps them: made, listed, revoked.

A key is `uf_` and 256 random bits. It is shown once; what stands in `ops.api_keys` is its SHA-256,
and nobody finds a random key by its hash.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import class_row

from infra.database import postgres_answers
from infra.endpoints import ENDPOINTS_FILE, Endpoints
from infra.errors import KeyRefused
from serving.api.keys import SCOPES, hash_of

__all__ = ["ApiKey", "create_key", "ensure_local_key", "list_keys", "revoke_key"]

LOCAL = ENDPOINTS_FILE
CREATE = """
INSERT INTO ops.api_keys (key_id, key_hash, name, scopes, created_at)
VALUES (%s, %s, %s, %s, now())"""
LIST = """
SELECT key_id, name, scopes, created_at, revoked_at FROM ops.api_keys ORDER BY created_at, key_id"""
REVOKE = """
UPDATE ops.api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE key_id = %s"""
IS_ACTIVE = "SELECT FROM ops.api_keys WHERE key_hash = %s AND revoked_at IS NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is known of a key; not the key itself."""

    key_id: str
    name: str
    scopes: list[str]
    created_at: datetime
    revoked_at: datetime | None

    def to_json(self) -> dict[str, object]:
        """The public form."""
        return asdict(self)


def create_key(postgres: str, scopes: Iterable[str], name: str) -> tuple[str, str]:
    """Make a key with these scopes; returns its id, and the key, which is never shown again."""
    chosen = sorted(set(scopes))
    if not chosen or not set(chosen) <= set(SCOPES):
        raise KeyRefused(f"Scopes are {', '.join(SCOPES)}; found {', '.join(chosen) or 'none'}.")
    key_id, secret = secrets.token_hex(4), f"uf_{secrets.token_urlsafe(32)}"
    with _owner(postgres) as owner:
        owner.execute(CREATE, [key_id, hash_of(secret), name, chosen])
    return key_id, secret


def list_keys(postgres: str) -> list[ApiKey]:
    """Every key that was ever made, the oldest first."""
    with _owner(postgres) as owner:
        return owner.cursor(row_factory=class_row(ApiKey)).execute(LIST).fetchall()


def revoke_key(postgres: str, key_id: str) -> None:
    """Let a key end; it is fine if it has. Raises `KeyRefused` where there is none of that id."""
    with _owner(postgres) as owner:
        if owner.execute(REVOKE, [key_id]).rowcount == 0:
            raise KeyRefused(f"There is no key {key_id!r}: look at `userflow keys list`.")


def ensure_local_key(home: Path) -> None:
    """Let the endpoints file of this home hold a valid key with every scope."""
    endpoints = Endpoints.read(home)
    if endpoints.api_key is not None:
        with _owner(endpoints.postgres) as owner:
            if owner.execute(IS_ACTIVE, [hash_of(endpoints.api_key)]).fetchone() is not None:
                return
    _, secret = create_key(endpoints.postgres, SCOPES, LOCAL)
    replace(Endpoints.read(home), api_key=secret).write(home)


@contextmanager
def _owner(postgres: str) -> Iterator[psycopg.Connection[Any]]:
    with postgres_answers(), psycopg.connect(postgres) as owner:
        yield owner
