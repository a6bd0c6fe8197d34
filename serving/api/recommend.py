"""`GET /v1/recommendations/{user_id}` and `POST /v1/recommendation-features`."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import uuid4

import msgspec
from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from serving.api.auth import needs
from serving.api.json_body import read_json
from serving.api.recommend_documents import PAIRS, RANKED
from serving.api.services import Services, services_of
from serving.errors import TooLarge, Unavailable, Unprocessable
from serving.recommend.answer import Asked, Domain
from serving.recommend.recommender import Recommender

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["recommendations"], dependencies=[Depends(needs("read"))])
MOST = 100
LONGEST = 200


def recommender_of(uses: Annotated[Services, Depends(services_of)]) -> Recommender:
    """What ranks in this process."""
    if uses.recommender is None:
        raise Unavailable("This process recommends nothing.")
    return uses.recommender


Uses = Annotated[Services, Depends(services_of)]
Ranks = Annotated[Recommender, Depends(recommender_of)]


class Choice(BaseModel):
    """What the address may say."""

    k: int = Field(default=10, ge=1, le=MOST, description="How many items.")
    domain: Domain | None = Field(
        default=None, description="What to recommend; that of the user when left out."
    )
    country: str | None = Field(
        default=None, max_length=LONGEST, description="Of a reader that nobody knows."
    )
    genre: str | None = Field(
        default=None, max_length=LONGEST, description="For a reader that nobody knows."
    )


class Pairs(msgspec.Struct):
    """One user and the products that are candidates, by either name."""

    user_id: str
    product_ids: list[str] | None = None
    candidates: list[str] | None = None


@router.get("/recommendations/{user_id:anything}", **RANKED)
async def recommendations(
    user_id: str, choice: Annotated[Choice, Query()], ranks: Ranks
) -> Response:
    """The best items for the user, each with its reason and the values that decided.

    Nobody is unknown: without a trace of the user, what is popular is shown, for episodes that of
    `country` and `genre`. `degraded` names what a store did not give in time.
    """
    asked = Asked(request_id=uuid4().hex, user_id=user_id, **choice.model_dump())
    return _json((await ranks.recommend(asked)).to_json())


@router.post("/recommendation-features", **PAIRS)
async def recommendation_features(request: Request, uses: Uses, ranks: Ranks) -> Response:
    """The features that exist only for a user and a product together; null where one is unknown."""
    pairs = await read_json(request, Pairs)
    products = pairs.candidates if pairs.product_ids is None else pairs.product_ids
    if products is None:
        raise Unprocessable("product_ids: a list of products is missing.", field="product_ids")
    if len(products) > uses.settings.max_ids:
        raise TooLarge(f"A request may have {uses.settings.max_ids:,} ids.", field="product_ids")
    return _json(await ranks.features(pairs.user_id, products))


def _json(document: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json")
