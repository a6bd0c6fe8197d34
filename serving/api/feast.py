"""`POST /get-online-features`: the protocol of Feast's feature server over our online store.

A Feast client with a `remote` online store reads our features through it. What is unknown is told
as Feast's own server tells it, so that its client raises the error that it has for it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import msgspec
from fastapi import APIRouter, Depends, Request, Response

from serving.api.auth import needs
from serving.api.direct import DirectRoute
from serving.api.feast_documents import GET_ONLINE_FEATURES
from serving.api.features import count_rows
from serving.api.json_body import read_json
from serving.api.services import Services, services_of
from serving.errors import TooLarge
from serving.feast.answer import Read, answer
from serving.feast.request import Asked, NotInFeast, Wanted, asked_views, entity_count, ids_of

__all__ = ["router"]

# `DirectRoute` asks for the key; the dependency is for `/docs`.
router = APIRouter(tags=["feast"], route_class=DirectRoute, dependencies=[Depends(needs("read"))])


@router.post("/get-online-features", **GET_ONLINE_FEATURES)
async def get_online_features(request: Request) -> Response:
    """Features of entities, as Feast's feature server answers."""
    uses, wanted = services_of(request), await read_json(request, Wanted)
    if entity_count(wanted.entities) > uses.settings.max_ids:
        most = f"A request may have {uses.settings.max_ids:,} entities."
        raise TooLarge(most, field="entities")
    full_names = wanted.full_feature_names
    try:
        views = asked_views(wanted.features, wanted.feature_service, full_names=full_names)
    except NotInFeast as error:
        return _unknown(error)
    reads = await asyncio.gather(*[_read(asked, wanted, uses) for asked in views])
    keys = {name for asked in views for name in asked.view.key}
    body = answer(
        {name: values for name, values in wanted.entities.items() if name in keys},
        reads,
        full_names=full_names,
        with_versions=wanted.include_feature_view_version_metadata,
    )
    head = {"x-userflow-source": _source(reads)}
    return Response(body, headers=head, media_type="application/json")


def _source(reads: Sequence[Read]) -> str:
    """Which store had the rows, as our own calls tell it."""
    sources = {read.answer.source for read in reads} - {"none"}
    return "mixed" if len(sources) > 1 else next(iter(sources), "none")


async def _read(asked: Asked, wanted: Wanted, uses: Services) -> Read:
    ids = ids_of(asked.view, wanted.entities)
    known = [one for one in ids if one is not None]
    found = await uses.online.find(asked.view.name, known, asked.features)
    count_rows(uses, found, len(set(known)))
    return Read(ids, found)


def _unknown(error: NotInFeast) -> Response:
    """JSON in a JSON text, as Feast's client reads an error."""
    told = {"module": "feast.errors", "class": error.feast_class, "message": str(error)}
    body = msgspec.json.encode(json.dumps(told))
    return Response(body, status_code=error.status, media_type="application/json")
