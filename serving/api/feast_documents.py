"""What `/docs` says of `POST /get-online-features`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from serving.api.documents import SOURCE, ErrorBody
from serving.online.served import SERVED

__all__ = ["GET_ONLINE_FEATURES"]

Status = Literal["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE", "INVALID"]
EXAMPLE = {
    "features": ["user_features:read_count_24h", "user_features:top_genre_24h"],
    "entities": {"user_id": ["u-1", "u-2"]},
}
TIMES = ["2026-01-01T12:00:00Z", "1970-01-01T00:00:00Z"]
ANSWER = {
    "metadata": {"feature_names": ["user_id", "read_count_24h", "top_genre_24h"]},
    "results": [
        {
            "values": ["u-1", "u-2"],
            "statuses": ["PRESENT", "PRESENT"],
            "event_timestamps": [TIMES[1], TIMES[1]],
        },
        {"values": [3, None], "statuses": ["PRESENT", "NOT_FOUND"], "event_timestamps": TIMES},
        {
            "values": ["romance", None],
            "statuses": ["PRESENT", "NOT_FOUND"],
            "event_timestamps": TIMES,
        },
    ],
}


class FeastMetadata(BaseModel):
    """What the results are, in their order."""

    feature_names: list[str]
    feature_view_metadata: list[dict[str, Any]] = Field(
        default=[], description="Name and version of each view, if they were asked for."
    )


class FeastVector(BaseModel):
    """One join key or feature: a value for each entity."""

    values: list[Any]
    statuses: list[Status]
    event_timestamps: list[str]


class FeastAnswer(BaseModel):
    """As Feast's feature server answers: the join keys first, then the features by view."""

    metadata: FeastMetadata
    results: list[FeastVector]


def _error(says: str) -> dict[str, Any]:
    return {"model": ErrorBody, "description": says}


VALUES = {"type": "array", "items": {"type": ["string", "number", "null"]}, "maxItems": 1000}
BODY = {
    "type": "object",
    "required": ["entities"],
    "properties": {
        "entities": {
            "type": "object",
            "additionalProperties": VALUES,
            "description": "For each join key its values, one for each entity.",
        },
        "features": {
            "type": "array",
            "items": {"type": "string"},
            "description": "`view:feature`; or nothing, and a `feature_service`.",
        },
        "feature_service": {
            "anyOf": [{"type": "string", "enum": [*SERVED]}, {"type": "null"}],
            "description": "The name of a view: all of its features.",
        },
        "full_feature_names": {
            "type": "boolean",
            "description": "Answer with names like `user_features__read_count_24h`.",
        },
        "include_feature_view_version_metadata": {"type": "boolean"},
    },
}
# What the decorator of the route is told.
GET_ONLINE_FEATURES: dict[str, Any] = {
    "response_model": None,
    "responses": {
        200: {
            "model": FeastAnswer,
            "description": "The values by column.",
            "headers": SOURCE,
            "content": {"application/json": {"example": ANSWER}},
        },
        400: _error("The body is no JSON, or two features would have one name."),
        401: _error("No key, or one that nobody knows."),
        403: _error("A key without scope `read`."),
        404: {
            "description": "No such view, feature or service: Feast's own form of an error, a JSON "
            "document in a JSON text.",
            "content": {"application/json": {"schema": {"type": "string"}}},
        },
        413: _error("More entities or more bytes than a request may have."),
        422: _error("A field is missing or has another type; `field` names it."),
        429: _error("The key has sent too much; `Retry-After` says how long to wait."),
        503: _error("No store answers."),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": BODY, "example": EXAMPLE}},
        }
    },
}
