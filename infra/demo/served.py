"""The serving half of the demo: the API answers for one user; what is kept can be looked at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from infra.api_keys import ensure_local_key
from infra.demo.proof import Proof
from infra.demo.steps import Steps
from infra.endpoints import Endpoints
from infra.errors import ServiceError
from infra.settings import Settings
from infra.stream_service import StreamService
from infra.web_service import WEB_SERVICES, WebService
from streaming.jobs import JOBS

__all__ = ["Answered", "served", "serving"]

VIEW = "user_features"
ANSWER_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What the API said of one user. `addresses`: what runs on, by its name."""

    path: str
    source: str
    row: Mapping[str, Any]
    addresses: Mapping[str, str]


@contextmanager
def serving(settings: Settings, *, keep: bool) -> Iterator[None]:
    """What the block starts of API and dashboard ends with it, unless it is to be kept."""
    services = {name: WebService(settings, name) for name in WEB_SERVICES}
    before = {name for name, service in services.items() if service.status()}
    try:
        yield
    finally:
        for name, service in services.items():
            if not keep and name not in before:
                service.down()


def served(settings: Settings, proof: Proof, steps: Steps, *, keep: bool) -> Answered | None:
    """Start the API, and ask it for the reader who read most; None if there was none."""
    reader = _busiest(proof)
    if reader is None:
        return None
    # The sample pages are for who looks around afterwards, on the machine that runs this.
    chosen = settings.model_copy(update={"samples": True}) if keep else settings
    with steps.step("Start the API and ask it for one user"):
        ensure_local_key(settings.home)
        address = WebService(chosen, "api").up(settings.api_port)
        path = f"/v1/features/{VIEW}/{quote(reader, safe='')}"
        answer = _get(f"{address}{path}", Endpoints.read(settings.home).api_key or "")
    addresses = {"api": f"{address}/docs"}
    if keep:
        with steps.step("Start the stream again, which goes on"):
            StreamService(settings).up(",".join(JOBS))
        with steps.step("Start the dashboard"):
            addresses |= {
                "samples": f"{address}/samples",
                "dashboard": WebService(settings, "dashboard").up(None),
            }
    return Answered(
        path=path,
        source=answer.headers.get("x-userflow-source", ""),
        row=answer.json(),
        addresses=addresses,
    )


def _busiest(proof: Proof) -> str | None:
    rows = proof.rows["PostgreSQL"].drop_nulls("user_id")
    if rows.is_empty():
        return None
    counted = rows.group_by("user_id").len().sort("len", "user_id", descending=[True, False])
    return str(counted["user_id"][0])


def _get(url: str, key: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    answer = httpx.get(url, headers=headers, timeout=ANSWER_S, trust_env=False)
    if answer.is_error:
        raise ServiceError(f"The API answered {answer.status_code} to {url}: {answer.text[:300]}")
    return answer
