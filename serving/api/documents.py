"""What `/docs` says of features, derived from the declarations: a model of the rows of each view.

The models describe and are never run: answers are put together from what the stores hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from functools import reduce
from operator import or_
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, create_model

from features.columns import Column, ColumnType
from serving.online.served import SERVED, ServedView

__all__ = ["MANY", "ONE", "ErrorBody"]

PYTHON: Mapping[ColumnType, Any] = {
    ColumnType.STRING: str,
    ColumnType.DOUBLE: float,
    ColumnType.LONG: int,
    ColumnType.INT: int,
    ColumnType.BOOLEAN: bool,
    ColumnType.TIMESTAMP: datetime,
    ColumnType.DATE: date,
    ColumnType.STRING_MAP: dict[str, str],
    ColumnType.RECORDS: list[dict[str, Any]],
    ColumnType.STRING_LIST: list[str],
}
MOMENT = "2026-01-01T12:00:00.000000Z"
EXAMPLES: Mapping[ColumnType, Any] = {
    ColumnType.STRING: "a text",
    ColumnType.DOUBLE: 0.25,
    ColumnType.LONG: 3,
    ColumnType.INT: 3,
    ColumnType.BOOLEAN: True,
    ColumnType.TIMESTAMP: MOMENT,
    ColumnType.DATE: MOMENT[:10],
    ColumnType.STRING_MAP: {"key": "value"},
    ColumnType.RECORDS: [],
    ColumnType.STRING_LIST: ["a", "b"],
}
SHOWN = "commerce_user_features"
ASKED = ["view_count_1h", "cart_to_view_rate_1h", "recent_product_ids", "pattern_detected"]


class Problem(BaseModel):
    """What was found and what was expected."""

    model_config = ConfigDict(extra="allow")

    code: str = Field(description="For programs.", examples=["not_found"])
    message: str = Field(description="For people.")


class ErrorBody(BaseModel):
    """Every answer that is no success."""

    error: Problem


class Row(BaseModel):
    """One entity."""

    id: str = Field(description="As it was asked for.")
    event_at: datetime | None = Field(
        description="The newest event in it; null for views that are computed once a day."
    )
    updated_at: datetime | None = Field(description="When it became readable.")
    age_ms: int | None = Field(description="How long ago that was.")
    stale: bool = Field(default=False, description="The row is older than its view's limit.")
    degraded: bool = Field(
        default=False, description="Too many events of its source break their contract at present."
    )
    unavailable: bool = Field(
        default=False, description="No store could be asked; it may exist or not."
    )


def _name(view: ServedView) -> str:
    return "".join(part.capitalize() for part in view.name.split("_"))


def _field(column: Column) -> Any:
    unit = f" In {column.unit}." if column.unit else ""
    kind: Any = PYTHON[column.type] | None
    return kind, Field(default=None, description=f"{column.doc}{unit}")


def _features(view: ServedView) -> type[BaseModel]:
    fields = {column.name: _field(column) for column in view.features}
    return create_model(_name(view), __doc__=view.doc, **fields)


def _union(kinds: list[Any]) -> Any:
    return reduce(or_, kinds)


FEATURES = {name: _features(view) for name, view in SERVED.items()}
Known = create_model("Known", __base__=Row, features=(_union([*FEATURES.values()]), ...))
Asked = create_model("Asked", __base__=Row, features=(_union([*FEATURES.values(), None]), ...))
Results = create_model("Results", results=(list[Asked], ...))  # type: ignore[valid-type]


def _example() -> dict[str, Any]:
    columns = {column.name: column for column in SERVED[SHOWN].features}
    features = {name: EXAMPLES[columns[name].type] for name in ASKED}
    stamps = {"event_at": MOMENT, "updated_at": MOMENT, "age_ms": 412}
    return {"id": "u-1", "features": features, **stamps}


def _json(schema: Any, example: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema, "example": example}}


def _error(says: str) -> dict[str, Any]:
    return {"model": ErrorBody, "description": says}


SOURCE = {
    "x-userflow-source": {
        "description": "`redis`, `postgres`, `mixed`, or `none` where nothing was found.",
        "schema": {"type": "string", "enum": ["redis", "postgres", "mixed", "none"]},
    }
}
ERRORS = {
    status: _error(says)
    for status, says in {
        401: "No key, or one that nobody knows.",
        403: "A key without scope `read`.",
        404: "No such view, feature or entity; `nearest` are names like it.",
        429: "The key has sent too much; `Retry-After` says how long to wait.",
        503: "No store answers.",
    }.items()
}
VIEW = {"type": "string", "enum": [*SERVED]}
FORMS = "; ".join(f"{view.name}: `{view.id_form}`" for view in SERVED.values())
# What the decorator of the route is told.
ONE: dict[str, Any] = {
    "response_model": None,
    "responses": {
        200: {
            "model": Known,
            "description": "The entity's row.",
            "headers": SOURCE,
            "content": {"application/json": {"example": _example()}},
        },
        **ERRORS,
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": "view",
                "in": "path",
                "required": True,
                "schema": VIEW,
                "example": SHOWN,
            },
            {
                "name": "id",
                "in": "path",
                "required": True,
                "description": f"Any text, percent-encoded. {FORMS}.",
                "schema": {"type": "string"},
                "example": "u-1",
            },
        ]
    },
}
BODY = {
    "type": "object",
    "required": ["view", "ids"],
    "properties": {
        "view": VIEW,
        "ids": {"type": "array", "items": {"type": "string"}, "maxItems": 1000},
        "features": {
            "anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}],
            "description": "Which ones; all when left out.",
        },
    },
}
MANY: dict[str, Any] = {
    "response_model": None,
    "responses": {
        200: {
            "model": Results,
            "description": "A row for each id, in their order.",
            "headers": SOURCE,
            "content": {"application/json": {"example": {"results": [_example()]}}},
        },
        **ERRORS,
        400: _error("The body is no JSON."),
        413: _error("More ids or more bytes than a request may have."),
        422: _error("A field is missing or has another type; `field` names it."),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": _json(BODY, {"view": SHOWN, "ids": ["u-1", "u-2"], "features": ASKED}),
        }
    },
}
