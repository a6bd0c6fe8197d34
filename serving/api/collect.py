"""`POST /v1/events`: one outcome for each event, given when Kafka has acknowledged all of them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response

from features.contracts import CONTRACTS
from serving.api.auth import needs_also_in_query
from serving.api.documents import ErrorBody
from serving.api.keys import Key
from serving.api.services import Services, services_of
from serving.collector.bodies import MAX_EVENTS, split_body
from serving.collector.judging import Judged
from serving.errors import Unavailable

__all__ = ["MAX_BODY_BYTES", "router"]

# What an input topic takes in one record is 8 MiB; the rest is for what surrounds it.
MAX_BODY_BYTES = (8 << 20) - (64 << 10)

router = APIRouter(tags=["collector"])
EVENT = {
    "user_id": "u-42",
    "session_id": "s-7",
    "event_type": "product_view",
    "product_id": "p-1001",
    "timestamp": "2026-01-01T12:00:00Z",
}
ANSWER = {
    "results": [
        {"status": "accepted", "reason": None, "reason_code": None},
        {
            "status": "rejected",
            "reason": "Field 'event_type' is required.",
            "reason_code": "missing_field",
        },
    ]
}
EVENTS = {
    "oneOf": [
        {"type": "object"},
        {"type": "array", "items": {"type": "object"}, "maxItems": MAX_EVENTS},
    ]
}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "One event, an array of events, or one on each line.",
        "content": {
            "application/json": {"schema": EVENTS, "example": [EVENT]},
            "text/plain": {"schema": {"type": "string"}},
            "application/x-ndjson": {"schema": {"type": "string"}},
        },
    }
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    202: {
        "description": "One result for each event, in their order.",
        "content": {"application/json": {"example": ANSWER}},
    },
    400: {"model": ErrorBody, "description": "Neither an event nor a list of events."},
    404: {"model": ErrorBody, "description": "No topic of that name."},
    413: {"model": ErrorBody, "description": "Too many bytes or events."},
    503: {
        "model": ErrorBody,
        "description": "Kafka does not take them: send all of them again, after `Retry-After`.",
    },
}


@router.post("/v1/events", status_code=202, openapi_extra=BODY, responses=RESPONSES)
async def collect(
    request: Request,
    services: Annotated[Services, Depends(services_of)],
    key: Annotated[Key, Depends(needs_also_in_query("collect"))],
    topic: Annotated[str | None, Query(description=f"One of {', '.join(CONTRACTS)}.")] = None,
) -> Response:
    """Without `topic` the type of each event tells: what readers do, else what shoppers do.

    `?key=` takes a key that may only collect, for beacons.
    """
    del key
    if services.collector is None:
        raise Unavailable("This server collects no events.")
    events = split_body(await request.body(), request.headers.get("content-type", ""))
    address = request.client.host if request.client else None
    agent = request.headers.get("user-agent")
    judged = await services.collector.collect(topic, events, address, agent)
    answer = {"results": [_result(one) for one in judged]}
    return Response(msgspec.json.encode(answer), 202, media_type="application/json")


def _result(judged: Judged) -> dict[str, str | None]:
    refusal = judged.refusal
    if refusal is None:
        return {"status": "accepted", "reason": None, "reason_code": None}
    return {"status": "rejected", "reason": refusal.reason, "reason_code": refusal.reason_code}
