"""Episodes for a reader: what speaks for one, and where candidates come from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from serving.recommend.catalogue import Catalogue, first_of_each
from serving.recommend.rankers import Candidate
from serving.recommend.signals import Signal, Values

__all__ = ["READING_SIGNALS", "candidate_ids", "in_segment", "reader", "to_candidates"]

MOST_OF_GENRE, MOST_POPULAR, MOST_GENRES = 40, 40, 3
UNKNOWN = 0.5
EXCLUDED, BOOSTED = "exclude", "boost"
# Genre features of a user, newest first, and what a match says.
GENRES: Mapping[str, float] = MappingProxyType({"top_genre_24h": 1.0, "top_genre_7d": 0.8})


def _or_unknown(value: Any) -> float:
    return UNKNOWN if value is None else min(1.0, max(0.0, float(value)))


READING_SIGNALS = (
    Signal(
        name="genre",
        weight=0.30,
        doc="It is of a genre that the reader reads most.",
        of=lambda user, episode: float(user["genres"].get(episode.get("genre"), 0.0)),
        code="genre_of_interest",
        sentence="Its genre is {genre}, which you read most.",
    ),
    Signal(
        name="country",
        weight=0.10,
        doc="How much its genre is read in the reader's country.",
        of=lambda user, episode: float(user["shares"].get(episode.get("genre"), 0.0)),
        code="popular_in_country",
        sentence="Its genre, {genre}, is much read in {country}.",
    ),
    Signal(
        name="popularity",
        weight=0.20,
        doc="How much it is read now.",
        of=lambda _, episode: float(episode.get("popularity") or 0),
        code="popular",
        sentence="Many read it now.",
    ),
    Signal(
        name="completion",
        weight=0.15,
        doc="How much of it is read.",
        of=lambda _, episode: _or_unknown(episode.get("avg_completion_rate_7d")),
    ),
    Signal(
        name="staying",
        weight=0.10,
        doc="How few leave it.",
        of=lambda _, episode: 1.0 - _or_unknown(episode.get("exit_rate_7d")),
    ),
    Signal(
        name="quality",
        weight=0.05,
        doc="How good it is for its genre.",
        of=lambda _, episode: _or_unknown((episode.get("content_quality_score") or 50.0) / 100),
    ),
    Signal(
        name="boost",
        weight=0.10,
        doc="Its quality label is `boost`.",
        of=lambda _, episode: float(episode.get("quality_label") == BOOSTED),
        code="readers_finish_it",
        sentence="Readers finish it more often than others of its genre.",
    ),
)


def reader(live: Values, catalogue: Catalogue) -> dict[str, Any]:
    """What ranking knows of a reader: `genres` is genre -> how much the reader likes it, `shares`
    how much it is read in the country; 1 is the most.
    """
    liked: dict[str, float] = {}
    for name, how in GENRES.items():
        if (genre := live.get(name)) is not None:
            liked.setdefault(genre, how)
    country = live.get("country")
    return {"country": country, "genres": liked, "shares": catalogue.shares.get(country or "", {})}


def in_segment(country: str | None, genre: str | None, catalogue: Catalogue) -> list[str]:
    """For somebody who is not known: the popular ones of the genre, else of the genres that the
    country reads most, else of all.
    """
    if genre is not None and catalogue.of_group(genre):
        return list(catalogue.of_group(genre))
    most = _most(catalogue.shares.get(country or "", {}))
    of_genres = [name for genre in most for name in catalogue.of_group(genre)]
    return of_genres or list(catalogue.popular)


def candidate_ids(
    user: Values, catalogue: Catalogue, without: Collection[str], k: int
) -> list[str]:
    """The popular ones of the reader's genres, of those that the country reads most, and of all."""
    genres = dict.fromkeys([*user["genres"], *_most(user["shares"])])
    sources = [
        *((catalogue.of_group(genre), MOST_OF_GENRE) for genre in genres),
        (catalogue.popular, max(MOST_POPULAR, k)),
    ]
    return first_of_each(sources, without)


def _most(shares: Mapping[str, float]) -> list[str]:
    return sorted(shares, key=lambda genre: (-shares[genre], genre))[:MOST_GENRES]


def to_candidates(
    ids: Iterable[str], live: Mapping[str, Values], catalogue: Catalogue
) -> list[Candidate]:
    """With the features of now, without those that quality excludes."""
    found = []
    for name in ids:
        episode = {**catalogue.items.get(name, {}), **live.get(name, {})}
        if episode.get("quality_label") != EXCLUDED:
            popularity = catalogue.popularity(episode)
            found.append(Candidate(name, {**episode, "popularity": popularity}))
    return found
