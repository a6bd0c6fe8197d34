"""What `/docs` says of recommendations. The models describe and are never run."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, create_model

from features.request_time import REQUEST_FEATURES
from serving.api.documents import PYTHON, ErrorBody
from serving.recommend.answer import Domain

__all__ = ["PAIRS", "RANKED"]


class Model(BaseModel):
    """Who ranked."""

    name: str = Field(examples=["rules"])
    version: str = Field(examples=["1"])


class Recommended(BaseModel):
    """One item."""

    id: str = Field(examples=["p2"])
    rank: int = Field(ge=1)
    score: float
    reason: str = Field(description="For programs.", examples=["goes_with_recent"])
    because: str = Field(
        description="For people.", examples=["Shoppers who chose p1 chose this, too."]
    )
    values: dict[str, Any] = Field(
        description="The features that decided.",
        examples=[{"together": 0.43, "together_with": "p1", "category": "books", "price": 12.5}],
    )
    parts: dict[str, float] = Field(
        description="What the score is the sum of, where the model can say it.",
        examples=[{"together": 0.19, "popularity": 0.08}],
    )


class Recommendations(BaseModel):
    """Items for one user, the best first."""

    request_id: str = Field(description="The impression of this answer has it, too.")
    user_id: str
    domain: Domain
    arm: str = Field(description="The user's arm in the test of models.", examples=["rules"])
    model: Model
    cold_start: bool = Field(description="Nothing is known of the user: popularity ranks.")
    degraded: list[str] = Field(description="What was left out, as it did not come in time.")
    items: list[Recommended]


_FEATURES: dict[str, Any] = {
    each.column.name: (PYTHON[each.column.type] | None, Field(description=each.column.doc))
    for each in REQUEST_FEATURES
}
Pair = create_model("Pair", user_id=(str, ...), product_id=(str, ...), **_FEATURES)
Pairs = create_model(
    "Pairs",
    user_id=(str, ...),
    degraded=(list[str], Field(description="What did not come in time, and so is null here.")),
    results=(list[Pair], ...),  # type: ignore[valid-type]
)


def _error(says: str) -> dict[str, Any]:
    return {"model": ErrorBody, "description": says}


_ERRORS: dict[int | str, dict[str, Any]] = {
    401: _error("No key, or one that nobody knows."),
    403: _error("A key without scope `read`."),
    422: _error("A value cannot be used; `field` names it."),
    429: _error("The key has sent too much; `Retry-After` says how long to wait."),
    503: _error("The keys cannot be read."),
}
_IDS = {"type": "array", "items": {"type": "string"}, "maxItems": 1000}
_BODY = {
    "type": "object",
    "required": ["user_id", "product_ids"],
    "properties": {
        "user_id": {"type": "string"},
        "product_ids": {**_IDS, "description": "`candidates` is another name for it."},
    },
}
# What the decorators of the routes are told.
RANKED: dict[str, Any] = {
    "response_model": None,
    "responses": {200: {"model": Recommendations, "description": "At most k items."}, **_ERRORS},
}
PAIRS: dict[str, Any] = {
    "response_model": None,
    "responses": {
        200: {"model": Pairs, "description": "A row for each product, in their order."},
        **_ERRORS,
        400: _error("The body is no JSON."),
        413: _error("More products or more bytes than a request may have."),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _BODY,
                    "example": {"user_id": "u1", "product_ids": ["p1", "p2"]},
                }
            },
        }
    },
}
