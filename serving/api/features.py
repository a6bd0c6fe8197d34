"""`GET /v1/features/{view}/{id}` and `POST /v1/features`."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from serving.api.auth import needs
from serving.api.services import Services, services_of
from serving.errors import NotFound, TooLarge
from serving.online.reader import as_json
from serving.online.rows import Row

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["features"], dependencies=[Depends(needs("read"))])
Uses = Annotated[Services, Depends(services_of)]


class Wanted(BaseModel):
    """Which features of which entities."""

    view: str
    ids: list[str]
    features: list[str] | None = Field(default=None, description="All of the view when left out.")


@router.get("/features/{view}/{entity_id:path}")
async def one(view: str, entity_id: str, uses: Uses) -> Response:
    """One entity's features."""
    (row,) = await uses.online.read(view, [entity_id])
    if row.features is None:
        raise NotFound(f"{view} has no entity {entity_id[:200]!r}.")
    return _answer(as_json(row), [row])


@router.post("/features")
async def many(wanted: Wanted, uses: Uses) -> Response:
    """Many entities' features in one round trip; `features` is null where one is unknown."""
    if len(wanted.ids) > uses.settings.max_ids:
        raise TooLarge(f"One request may have {uses.settings.max_ids:,} ids.", field="ids")
    rows = await uses.online.read(wanted.view, wanted.ids, wanted.features)
    return _answer({"results": [as_json(row) for row in rows]}, rows)


def _answer(document: Any, rows: list[Row]) -> Response:
    sources = {row.source for row in rows} - {"none"}
    source = "mixed" if len(sources) > 1 else next(iter(sources), "postgres")
    return Response(
        msgspec.json.encode(document),
        media_type="application/json",
        headers={"X-Userflow-Source": source},
    )
