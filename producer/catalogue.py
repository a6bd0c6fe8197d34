"""What there is to read and to buy: the rows of dim.episodes and dim.products.

The catalogue has a seed of its own, so that every simulated event refers to the rows that
`userflow init` loaded, whatever seed the run has. Its order is the order of popularity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random

__all__ = ["CATALOGUE_SEED", "Dimensions", "Episode", "Product", "dimensions"]

CATALOGUE_SEED = 20260101
EPISODES = 500
PRODUCTS = 1000
FIRST_PUBLISHED = datetime(2023, 1, 2, 9, tzinfo=UTC)
DAYS_PUBLISHED = 1090

# genre -> (tags, series)
GENRES: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "romance": (("로맨스", "일상", "오피스", "첫사랑"), ("달빛 정원", "두 번째 봄", "Rainy Seoul")),
    "fantasy": (
        ("판타지", "회귀", "마법", "성장"),
        ("검은 탑의 기사", "회귀한 대마법사", "은하의 문"),
    ),
    "action": (("액션", "격투", "복수"), ("철권의 밤", "마지막 검객", "Zero Hour")),
    "drama": (("드라마", "가족", "성장"), ("바다로 가는 길", "열일곱의 여름", "조용한 이웃")),
    "thriller": (("스릴러", "미스터리", "범죄"), ("403호의 비밀", "그림자 놀이", "Deep Water")),
    "comedy": (("개그", "일상", "학원"), ("오늘도 출근", "옥탑방 고양이들", "편의점 왕자")),
    "daily": (("일상", "힐링", "음식"), ("밥 한 공기", "느린 산책", "동네 빵집")),
    "sports": (("스포츠", "성장", "우정"), ("마운드 위에서", "9회 말", "푸른 코트")),
}
# category -> (brands, lowest price, highest price)
CATEGORIES: Mapping[str, tuple[tuple[str, ...], float, float]] = {
    "electronics.smartphone": (("haneul", "orbit", "miro"), 149.0, 1299.0),
    "electronics.audio.headphone": (("orbit", "sori", "wavelet"), 15.0, 399.0),
    "electronics.tablet": (("haneul", "miro"), 119.0, 999.0),
    "computers.notebook": (("miro", "gram&co", "northbay"), 399.0, 2499.0),
    "computers.peripherals.mouse": (("clicky", "northbay"), 9.0, 129.0),
    "appliances.kitchen.kettle": (("onsoo", "hearth"), 19.0, 149.0),
    "appliances.environment.air_purifier": (("onsoo", "haneul"), 89.0, 699.0),
    "furniture.living_room.sofa": (("namu", "hearth"), 199.0, 1899.0),
    "apparel.shoes": (("dalligi", "stride"), 29.0, 219.0),
    "apparel.jacket": (("baram", "stride"), 39.0, 349.0),
    "beauty.skincare": (("moa", "dew"), 6.0, 89.0),
    "books.comics": (("bookfold", "saebom"), 5.0, 25.0),
    "kids.toys": (("bloks", "saebom"), 7.0, 99.0),
    "sport.bicycle": (("baram", "dalligi"), 149.0, 1999.0),
}


@dataclass(frozen=True, slots=True)
class Episode:
    """A row of dim.episodes."""

    episode_id: str
    title: str
    genre: str
    tags: tuple[str, ...]
    avg_rating: float
    published_at: datetime


@dataclass(frozen=True, slots=True)
class Product:
    """A row of dim.products."""

    product_id: str
    name: str
    category: str
    brand: str
    price: float

    @property
    def price_cents(self) -> int:
        """The price to calculate with."""
        return round(self.price * 100)


@dataclass(frozen=True, slots=True)
class Dimensions:
    """The whole catalogue, the most popular first."""

    episodes: tuple[Episode, ...]
    products: tuple[Product, ...]


@cache
def dimensions(seed: int = CATALOGUE_SEED) -> Dimensions:
    """The same rows for the same seed."""
    rng = Random(f"catalogue:{seed}")  # noqa: S311 - simulation, not cryptography
    return Dimensions(
        episodes=tuple(_episode(rng, number) for number in range(1, EPISODES + 1)),
        products=tuple(_product(rng, number) for number in range(1, PRODUCTS + 1)),
    )


def _episode(rng: Random, number: int) -> Episode:
    genre = rng.choice(tuple(GENRES))
    tags, series = GENRES[genre]
    return Episode(
        episode_id=f"ep_{number:04d}",
        title=f"{rng.choice(series)} {rng.randint(1, 120)}화",
        genre=genre,
        tags=tuple(rng.sample(tags, rng.randint(1, len(tags)))),
        avg_rating=round(10 - 4 * rng.random() ** 1.5, 2),
        published_at=FIRST_PUBLISHED + timedelta(days=rng.randrange(DAYS_PUBLISHED)),
    )


def _product(rng: Random, number: int) -> Product:
    category = rng.choice(tuple(CATEGORIES))
    brands, lowest, highest = CATEGORIES[category]
    brand = rng.choice(brands)
    kind = category.rsplit(".", 1)[-1].replace("_", " ")
    return Product(
        product_id=f"prod_{number:04d}",
        name=f"{brand.title()} {kind} {rng.randint(100, 999)}",
        category=category,
        brand=brand,
        # Cheap things are many, dear ones few; ending in .90 as prices do.
        price=int(lowest + (highest - lowest) * rng.random() ** 2.5) + 0.9,
    )
