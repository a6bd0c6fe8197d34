"""`POST /get-online-features`: the protocol of Feast's feature server over our online store.

A Feast client with a `remote` online store reads our features through it. What is unknown is told
as Feast's own server tells it, so that its client raises the error that it has for it.
"""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from serving.api.auth import needs
from serving.api.services import Services, services_of
from serving.errors import TooLarge
from serving.feast.answer import answer
from serving.feast.request import Asked, NotInFeast, asked_views, entity_count, ids_of
from serving.online.rows import Row, unknown

__all__ = ["router"]

router = APIRouter(tags=["feast"])
Uses = Annotated[Services, Depends(services_of)]


class OnlineFeatures(BaseModel):
    """What Feast's client sends."""

    entities: dict[str, list[Any]] = Field(
        description="For each join key its values, one for each entity.",
        examples=[{"user_id": ["u1", "u2"]}],
    )
    features: list[str] = Field(
        default=[],
        description="`view:feature`, or nothing and a `feature_service`.",
        examples=[["user_features:read_count_24h", "user_features:top_genre_24h"]],
    )
    feature_service: str | None = Field(
        default=None, description="The name of a view: all of its features."
    )
    full_feature_names: bool = Field(
        default=False, description="Answer with names like `user_features__read_count_24h`."
    )
    include_feature_view_version_metadata: bool = False


@router.post("/get-online-features", dependencies=[Depends(needs("read"))])
async def get_online_features(wanted: OnlineFeatures, uses: Uses) -> Response:
    """Features of entities, as Feast's feature server answers."""
    if entity_count(wanted.entities) > uses.settings.max_ids:
        raise TooLarge(
            f"One request may have {uses.settings.max_ids:,} entities.", field="entities"
        )
    try:
        views = asked_views(
            wanted.features, wanted.feature_service, full_names=wanted.full_feature_names
        )
    except NotInFeast as error:
        return _unknown(error)
    read = await asyncio.gather(*(_read(asked, wanted.entities, uses) for asked in views))
    keys = {name for asked in views for name in asked.view.key}
    document = answer(
        {name: values for name, values in wanted.entities.items() if name in keys},
        list(zip(views, read, strict=True)),
        full_names=wanted.full_feature_names,
        with_versions=wanted.include_feature_view_version_metadata,
    )
    return Response(msgspec.json.encode(document), media_type="application/json")


async def _read(asked: Asked, entities: dict[str, list[Any]], uses: Services) -> list[Row]:
    ids = ids_of(asked.view, entities)
    # An entity may be asked for more than once.
    known = list(dict.fromkeys(one for one in ids if one is not None))
    names = [column.name for column in asked.features]
    rows = await uses.online.read(asked.view.name, known, names)
    by_id = dict(zip(known, rows, strict=True))
    return [by_id[one] if one is not None else unknown("") for one in ids]


def _unknown(error: NotInFeast) -> Response:
    """JSON in a JSON text, as Feast's client reads an error."""
    told = {"module": "feast.errors", "class": error.feast_class, "message": str(error)}
    body = msgspec.json.encode(json.dumps(told))
    return Response(body, status_code=error.status, media_type="application/json")
