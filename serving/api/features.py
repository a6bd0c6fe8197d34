"""`GET /v1/features/{view}/{id}` and `POST /v1/features`: what is called most."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from starlette.convertors import Convertor, register_url_convertor

from serving.api.auth import needs
from serving.api.direct import DirectRoute
from serving.api.documents import MANY, ONE
from serving.api.json_body import read_json
from serving.api.services import Services, services_of
from serving.errors import NotFound, TooLarge
from serving.online.reader import Answer
from serving.online.served import served_view

__all__ = ["count_rows", "router"]


class _Anything(Convertor[str]):
    """An id: any character, `/` and line feeds among them."""

    regex = r"(?s:.*)"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("anything", _Anything())
# `DirectRoute` asks for the key; the dependency is for `/docs`.
router = APIRouter(
    prefix="/v1",
    tags=["features"],
    route_class=DirectRoute,
    dependencies=[Depends(needs("read"))],
)


class Wanted(msgspec.Struct):
    """Which features of which entities; all features when none are named."""

    view: str
    ids: list[str]
    features: list[str] | None = None


@router.get("/features/{view}/{id:anything}", **ONE)
async def one(request: Request) -> Response:
    """All features of one entity.

    The id is percent-encoded; the parts of a composite id are joined with `|`.
    """
    uses, view = services_of(request), request.path_params["view"]
    entity_id: str = request.path_params["id"]
    answer = await uses.online.find(view, [entity_id])
    count_rows(uses, answer, 1)
    if not answer.found:
        raise NotFound(_unknown(view, entity_id))
    return _answered(answer.documents([entity_id])[0], answer)


@router.post("/features", **MANY)
async def many(request: Request) -> Response:
    """Features of up to a thousand entities in one round trip, in the order of the ids.

    `features` of an entity that is unknown is null.
    """
    uses = services_of(request)
    wanted = await read_json(request, Wanted)
    if len(wanted.ids) > uses.settings.max_ids:
        raise TooLarge(f"A request may have {uses.settings.max_ids:,} ids.", field="ids")
    answer = await uses.online.find(wanted.view, wanted.ids, wanted.features)
    count_rows(uses, answer, len(wanted.ids))
    return _answered(b'{"results":[%b]}' % b",".join(answer.documents(wanted.ids)), answer)


def _answered(body: bytes, answer: Answer) -> Response:
    head = {"x-userflow-source": answer.source}
    return Response(body, headers=head, media_type="application/json")


def _unknown(view: str, entity_id: str) -> str:
    """Ids are not told to strangers, so there are no nearest ones; the form is."""
    served = served_view(view)
    known = f"{view} has no entity {entity_id[:200]!r}"
    return f"{known}; an id has the form `{served.id_form}`."


def count_rows(uses: Services, answer: Answer, asked: int) -> None:
    """Count where the rows of an answer came from."""
    view, metrics = answer.plan.view.name, uses.metrics
    sources = [found.source for found in answer.found.values()]
    for source in ("redis", "postgres"):
        if count := sources.count(source):
            metrics.add("userflow_api_rows_total", count, view, source)
    if len(sources) < asked:
        metrics.add("userflow_api_rows_total", asked - len(sources), view, "none")
    oldest_ms = answer.oldest_ms
    if oldest_ms is not None:
        metrics.observe("userflow_api_row_age_seconds", oldest_ms / 1000, view)
    if stale := answer.stale_count:
        metrics.add("userflow_api_stale_rows_total", stale, view)
