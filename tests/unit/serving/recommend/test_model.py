"""Models as files: what they compute, and what is no model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.recommend.model import BadModel, load_model, model_of
from serving.recommend.rankers import Candidate, Label

LINEAR: dict[str, Any] = {
    "format": 1,
    "name": "clicks",
    "version": "3",
    "domain": "commerce",
    "kind": "logistic_regression",
    "features": [
        {"name": "popularity", "fill": 0.0, "mean": 0.5, "scale": 0.5},
        {"name": "category_match", "fill": 0.5},
        {"name": "avg_order_value", "fill": 10.0, "scale": 10.0},
    ],
    "intercept": -1.0,
    "weights": [2.0, 1.0, 0.5],
}
STUMP = {
    "feature": [0, -1, -1],
    "threshold": [0.25, 0.0, 0.0],
    "left": [1, -1, -1],
    "right": [2, -1, -1],
    "value": [0.0, -2.0, 3.0],
}
# Deeper on the right: rows end at different depths.
DEEPER = {
    "feature": [0, -1, 1, -1, -1],
    "threshold": [0.5, 0.0, 0.0, 0.0, 0.0],
    "left": [1, -1, 3, -1, -1],
    "right": [2, -1, 4, -1, -1],
    "value": [0.0, 1.0, 0.0, 10.0, 20.0],
}
TREES: dict[str, Any] = {
    "format": 1,
    "name": "trees",
    "version": "1",
    "domain": "commerce",
    "kind": "boosted_trees",
    "features": [{"name": "popularity"}, {"name": "category_match"}],
    "intercept": 0.5,
    "trees": [STUMP, DEEPER],
}


def scores(model: dict[str, Any], *features: dict[str, Any], user: Any = None) -> list[float]:
    ranker = model_of(msgspec.json.encode(model))
    candidates = [Candidate(str(n), each) for n, each in enumerate(features)]
    return [score.value for score in ranker.score(user or {}, candidates)]


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_a_linear_model_is_its_formula_and_shows_its_parts() -> None:
    ranker = model_of(msgspec.json.encode(LINEAR))
    features = {"popularity": 1.0, "category_match": True}
    (score,) = ranker.score({"avg_order_value": 20.0}, [Candidate("p", features)])
    assert ranker.label == Label("clicks", "3")
    assert score.parts == {"popularity": 2.0, "category_match": 1.0, "avg_order_value": 1.0}
    assert score.value == pytest.approx(logistic(3.0))


def test_what_is_missing_or_no_number_is_filled() -> None:
    expected = logistic(-1.0 - 2.0 + 0.5 + 0.5)
    missing, text = scores(LINEAR, {}, {"popularity": None, "category_match": "yes"})
    assert missing == text == pytest.approx(expected)


def test_trees_sum_their_leaves() -> None:
    found = scores(
        TREES,
        {"popularity": 0.25, "category_match": True},
        {"popularity": 0.3, "category_match": False},
        {"popularity": 0.9, "category_match": False},
        {"popularity": 0.9, "category_match": True},
    )
    expected = [0.5 - 2 + 1, 0.5 + 3 + 1, 0.5 + 3 + 10, 0.5 + 3 + 20]
    assert found == pytest.approx([logistic(x) for x in expected])


@given(st.lists(st.floats(0, 1), max_size=20))
def test_a_score_is_of_one_candidate_alone(popular: list[float]) -> None:
    together = scores(TREES, *({"popularity": p} for p in popular))
    assert together == [scores(TREES, {"popularity": p})[0] for p in popular]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "format"),
        ({"kind": "forest"}, "kind"),
        ({"domain": "films"}, "domain"),
        ({"features": []}, "takes no features"),
        ({"weights": [1.0]}, "3 features and 1 weights"),
        ({"weights": ["a", 1.0, 1.0]}, "weights"),
        ({"intercept": msgspec.Raw(b"1e999")}, "out of range"),
        ({"intercept": None}, "intercept"),
        ({"code": "import os"}, "code"),
        ({"kind": "boosted_trees"}, "no trees"),
        ({"features": [{"name": "popularity", "scale": 0}]}, "scale"),
    ],
)
def test_what_is_no_model_is_refused_in_a_sentence(change: dict[str, Any], says: str) -> None:
    document = msgspec.json.encode({**LINEAR, **change})
    with pytest.raises(BadModel, match=says):
        model_of(document)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"left": [1, -1]}, "as many entries"),
        ({"feature": [2, -1, -1]}, "feature 2 of 2"),
        ({"feature": [-2, -1, -1]}, "feature -2 of 2"),
        ({"left": [0, -1, -1]}, "does not stand behind"),
        ({"right": [3, -1, -1]}, "does not stand behind"),
        ({name: [] for name in STUMP}, "a root"),
    ],
)
def test_a_tree_that_cannot_be_walked_is_refused(change: dict[str, Any], says: str) -> None:
    with pytest.raises(BadModel, match=says):
        model_of(msgspec.json.encode({**TREES, "trees": [{**STUMP, **change}]}))


@pytest.mark.parametrize("junk", [b"", b"[1", b"null", b"\x80\x04pickle", b"{}"])
def test_junk_is_no_model(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(junk)
    with pytest.raises(BadModel, match=r"model\.json cannot be used"):
        load_model(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match="No such file"):
        load_model(tmp_path / "none.json")
