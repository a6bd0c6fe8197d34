"""The example from end to end: archive, training set, MLflow, model file, and the API serves it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from redis import Redis
from served import served
from stacks import settings_for

from examples.ranker.__main__ import train
from examples.ranker.environment import Environment
from features.columns import polars_schema
from features.views import VIEWS
from infra.api_keys import create_key
from infra.endpoints import Endpoints
from infra.settings import load_settings

pytestmark = [pytest.mark.stack, pytest.mark.slow]
START = datetime(2026, 1, 1, tzinfo=UTC)
CATEGORIES = ("electronics.audio", "apparel.shoes", "books.comics")
VIEWS_OF_PRODUCTS = 3_000


def events_of(rng: random.Random) -> Iterator[dict[str, Any]]:
    """Shoppers put what they like into the cart: their category, and what is cheap."""
    for number in range(VIEWS_OF_PRODUCTS):
        user, product = rng.randrange(60), rng.randrange(90)
        viewed = START + timedelta(seconds=10 * number)
        who = {"user_id": f"u{user}", "product_id": f"p{product}"}
        yield {
            **who,
            "event_id": f"v{number}",
            "event_at": viewed,
            "event_type": "product_view",
        }
        if rng.random() < 0.05 + 0.5 * (user % 3 == product % 3) + 0.2 * (product < 30):
            carted = viewed + timedelta(seconds=5)
            yield {
                **who,
                "event_id": f"c{number}",
                "event_at": carted,
                "event_type": "add_to_cart",
            }


def log_of(view: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows of a view's feature log, readable a second after the start."""
    columns = VIEWS[view].log_columns
    stamps = {
        "event_at": START,
        "available_at": START,
        "feature_version": 1,
        "batch_id": 1,
        "generation": 1,
    }
    empty = dict.fromkeys(column.name for column in columns)
    return pl.DataFrame([{**empty, **stamps, **row} for row in rows], schema=polars_schema(columns))


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An archive and two feature logs."""
    root = str(tmp_path_factory.mktemp("lake"))
    products = [
        {"product_id": f"p{n}", "category": CATEGORIES[n % 3], "price": 5.0 + n} for n in range(90)
    ]
    shoppers = [
        {"user_id": f"u{n}", "top_category_30d": CATEGORIES[n % 3], "avg_order_value_30d": 40.0}
        for n in range(60)
    ]
    pl.DataFrame(list(events_of(random.Random(7)))).write_delta(f"{root}/events/user_events")
    log_of("product_features", products).write_delta(f"{root}/features/product_features")
    log_of("commerce_user_features", shoppers).write_delta(
        f"{root}/features/commerce_user_features"
    )
    return root


@pytest.mark.parametrize("kind", ["boosted_trees", "logistic_regression"])
def test_a_trained_model_is_logged_and_served(
    stack: Endpoints, stack_home: Path, tmp_path: Path, lake: str, kind: str
) -> None:
    # Where the developer's own things are: an installation is made once.
    environment = Environment(load_settings().home)
    told = train(tmp_path, environment, lake=lake, kind=kind, mode="as-served", say=print)
    assert told["rows"] == VIEWS_OF_PRODUCTS - 180
    assert told["metrics"]["auc"] > 0.7
    assert (tmp_path / "mlflow.db").exists()
    assert len(list((tmp_path / "artifacts").rglob("model.json"))) == 1

    _, key = create_key(stack.postgres, ["read"], "ranker")
    settings = settings_for(stack_home).model_copy(
        update={"ranker_model": Path(told["model"]), "ranker_model_share": 1.0}
    )
    with closing(Redis.from_url(stack.redis)) as redis:
        redis.rpush("user_recent_products:ranked", "p1")
    with served(settings, stack) as url:
        answer = httpx.get(
            f"{url}/v1/recommendations/ranked", headers={"Authorization": f"Bearer {key}"}
        ).json()
    assert answer["arm"] == "model"
    assert answer["model"] == {"name": "cart", "version": told["run_id"]}
