"""What serving is told when it starts: plain values, which `infra` takes from the settings."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ServingSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSettings:
    """`rate_per_s`: requests a second of one key, no limit when 0. A store may take so long for one
    answer; both together, and what is left over, stay below the half second that a client waits at
    most.
    """

    rate_per_s: float = 0
    max_body_bytes: int = 1 << 20
    max_ids: int = 1_000
    redis_timeout_s: float = 0.12
    postgres_timeout_s: float = 0.27
    cors_origins: tuple[str, ...] = ()
    access_log: bool = False
