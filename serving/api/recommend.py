"""`GET /v1/recommendations/{user_id}` and `POST /v1/recommendation-features`."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import uuid4

import msgspec
from fastapi import APIRouter, Depends, Query, Response
from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from serving.api.auth import needs
from serving.api.services import Services, services_of
from serving.errors import TooLarge, Unavailable
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
    country: str | None = Field(default=None, max_length=LONGEST)
    genre: str | None = Field(default=None, max_length=LONGEST)


class Pairs(BaseModel):
    """One user and the products that are candidates."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"user_id": "u1", "product_ids": ["p1", "p2"]}}
    )

    user_id: str
    product_ids: list[str] = Field(
        validation_alias=AliasChoices("product_ids", "candidates"),
        description="Also called `candidates`.",
    )


@router.get("/recommendations/{user_id:path}")
async def recommendations(
    user_id: str, choice: Annotated[Choice, Query()], ranks: Ranks
) -> Response:
    """The best items for the user, each with its reason and the values that decided.

    Nobody is unknown: without a trace of the user, what is popular is shown, for episodes that of
    `country` and `genre`. `degraded` names what a store did not give in time.
    """
    asked = Asked(request_id=uuid4().hex, user_id=user_id, **choice.model_dump())
    return _json((await ranks.recommend(asked)).to_json())


@router.post("/recommendation-features")
async def recommendation_features(pairs: Pairs, uses: Uses, ranks: Ranks) -> Response:
    """The features that exist only for a user and a product together; null where one is unknown."""
    if len(pairs.product_ids) > uses.settings.max_ids:
        raise TooLarge(
            f"One request may have {uses.settings.max_ids:,} products.", field="product_ids"
        )
    results = await ranks.features(pairs.user_id, pairs.product_ids)
    return _json({"user_id": pairs.user_id, "results": results})


def _json(document: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(document), media_type="application/json")
