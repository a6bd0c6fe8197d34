"""Episodes for readers: genres, the segment of a stranger, and what quality says."""

from __future__ import annotations

from typing import Any

import pytest

from serving.recommend.catalogue import catalogue_of, episode_heat
from serving.recommend.rankers import Candidate, RuleRanker
from serving.recommend.ranking import rank
from serving.recommend.reading import (
    READING_SIGNALS,
    candidate_ids,
    in_segment,
    reader,
    to_candidates,
)
from serving.recommend.signals import reason_of


def episode(genre: str, reads: int, **more: Any) -> dict[str, Any]:
    return {"genre": genre, "read_count_24h": reads, "read_count_7d": 0, **more}


EPISODES = {
    "d1": episode("drama", 5),
    "d2": episode("drama", 4),
    "a1": episode("action", 9),
    "c1": episode("comedy", 7),
}
CATALOGUE = catalogue_of(
    EPISODES,
    group="genre",
    heat=episode_heat,
    shares=[("KR", "drama", 30), ("KR", "action", 10), ("US", "comedy", 1), ("JP", "drama", 0)],
)


@pytest.mark.parametrize(
    ("live", "liked"),
    [
        ({"top_genre_24h": "comedy", "top_genre_7d": "action"}, {"comedy": 1.0, "action": 0.8}),
        ({"top_genre_24h": "comedy", "top_genre_7d": "comedy"}, {"comedy": 1.0}),
        ({"top_genre_24h": None, "top_genre_7d": "action"}, {"action": 0.8}),
        ({}, {}),
    ],
)
def test_the_genre_read_now_is_liked_most_then_that_of_the_week(
    live: dict[str, Any], liked: dict[str, float]
) -> None:
    known = reader({**live, "country": "KR"}, CATALOGUE)
    assert known["genres"] == liked
    assert known["shares"] == {"drama": 1.0, "action": 1 / 3}


def test_what_the_country_reads_is_not_said_to_be_what_the_reader_reads() -> None:
    user = reader({"country": "KR"}, CATALOGUE)
    reason = reason_of(READING_SIGNALS, user, EPISODES["d1"])
    assert reason.code == "popular_in_country"
    assert reason.sentence == "Its genre, drama, is much read in KR."


@pytest.mark.parametrize(
    ("country", "genre", "first"),
    [
        (None, None, ["a1", "c1", "d1", "d2"]),
        ("KR", None, ["d1", "d2", "a1"]),
        ("KR", "comedy", ["c1"]),
        (None, "unheard", ["a1", "c1", "d1", "d2"]),
        ("unheard", None, ["a1", "c1", "d1", "d2"]),
        ("JP", None, ["a1", "c1", "d1", "d2"]),
    ],
)
def test_a_stranger_sees_what_is_popular_in_the_segment(
    country: str | None, genre: str | None, first: list[str]
) -> None:
    assert in_segment(country, genre, CATALOGUE) == first


def test_what_was_read_is_no_candidate() -> None:
    user = reader({"top_genre_24h": "drama"}, CATALOGUE)
    assert candidate_ids(user, CATALOGUE, {"d1"}, 10) == ["d2", "a1", "c1"]


def test_what_quality_excludes_is_no_candidate_whenever_it_began_to() -> None:
    live = {"d1": {"quality_label": "exclude"}, "a1": {"quality_label": "boost"}}
    found = to_candidates(["d1", "a1"], live, CATALOGUE)
    assert [candidate.id for candidate in found] == ["a1"]


def best(*episodes: dict[str, Any]) -> list[str]:
    """The names of the given episodes, the best first."""
    user = {"genres": {"drama": 1.0}, "shares": {}}
    items = rank(
        [Candidate(each["name"], each) for each in episodes],
        user=user,
        ranker=RuleRanker(READING_SIGNALS),
        signals=READING_SIGNALS,
        k=10,
    )
    return [item.id for item in items]


@pytest.mark.parametrize(
    "advantage",
    [
        {"quality_label": "boost"},
        {"avg_completion_rate_7d": 0.9},
        {"exit_rate_7d": 0.1},
        {"content_quality_score": 80.0},
        {"genre": "drama"},
        {"popularity": 0.5},
    ],
)
def test_each_signal_lifts_an_episode(advantage: dict[str, Any]) -> None:
    plain = {"name": "a", "genre": "action", "popularity": 0.4}
    assert best(plain, {**plain, "name": "z", **advantage}) == ["z", "a"]
