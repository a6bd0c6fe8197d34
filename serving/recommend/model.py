"""Models that rank: a file of plain numbers, checked when it is read, evaluated with NumPy.

The file says which features it takes, by the names that candidates and users have them under, and
how each is prepared: what stands for a value that is missing, then (value - mean) / scale. So no
code comes with a model, and a file of somebody else can do nothing but give wrong scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from serving.recommend.answer import Domain
from serving.recommend.rankers import Candidate, Label, Score
from serving.recommend.signals import Values

__all__ = ["BadModel", "ModelFile", "ModelRanker", "load_model", "model_of"]

Numbers = npt.NDArray[np.float64]
LEAF = -1
Positive = Annotated[float, msgspec.Meta(gt=0)]


class BadModel(ValueError):
    """A file that is no model of ours; the message says what is wrong with it."""


class Feature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`fill` stands for a value that is missing or no number."""

    name: str
    fill: float = 0.0
    mean: float = 0.0
    scale: Positive = 1.0


class Tree(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry for each node, the root first. A leaf's `feature` is -1; others go left if the
    feature is at most `threshold`.
    """

    feature: list[int]
    threshold: list[float]
    left: list[int]
    right: list[int]
    value: list[float]


class ModelFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`logistic_regression` has `weights`, one for each feature; `boosted_trees` has `trees`, whose
    values are summed. The score is the logistic function of the sum and `intercept`.
    """

    format: Literal[1]
    name: str
    version: str
    domain: Domain
    kind: Literal["logistic_regression", "boosted_trees"]
    features: list[Feature]
    intercept: float
    weights: list[float] = []
    trees: list[Tree] = []


def load_model(path: Path) -> ModelRanker:
    """The ranker in this file; raises `BadModel`."""
    try:
        return model_of(path.read_bytes(), name=str(path))
    except OSError as error:
        raise BadModel(f"The model {path} cannot be read: {error.strerror}.") from error


def model_of(document: bytes, *, name: str = "document") -> ModelRanker:
    """The ranker of this JSON; raises `BadModel`."""
    try:
        file = msgspec.json.decode(document, type=ModelFile)
        _check(file)
    except (msgspec.MsgspecError, BadModel) as error:
        raise BadModel(f"The model {name} cannot be used: {error}") from error
    return ModelRanker(file)


class ModelRanker:
    """Scores by a model; `parts` are said where they add up, which those of trees do not."""

    def __init__(self, file: ModelFile) -> None:
        self.domain = file.domain
        self.label = Label(file.name, file.version)
        self._file = file
        self._fill = [feature.fill for feature in file.features]
        self._mean = np.array([feature.mean for feature in file.features])
        self._scale = np.array([feature.scale for feature in file.features])
        self._weights = np.array(file.weights)
        self._trees = [_Arrays(tree) for tree in file.trees]

    def score(self, user: Values, candidates: Sequence[Candidate]) -> list[Score]:
        if not candidates:
            return []
        rows = [self._row(user, candidate.features) for candidate in candidates]
        prepared = (np.array(rows, dtype=np.float64) - self._mean) / self._scale
        if self._file.kind == "boosted_trees":
            return [Score(value, {}) for value in self._logistic(self._grown(prepared))]
        parts = prepared * self._weights
        names = [feature.name for feature in self._file.features]
        return [
            Score(value, dict(zip(names, row, strict=True)))
            for value, row in zip(self._logistic(parts.sum(axis=1)), parts.tolist(), strict=True)
        ]

    def _row(self, user: Values, features: Values) -> list[float]:
        found = (features.get(f.name, user.get(f.name)) for f in self._file.features)
        return [
            float(value) if isinstance(value, int | float) else fill
            for value, fill in zip(found, self._fill, strict=True)
        ]

    def _grown(self, rows: Numbers) -> Numbers:
        # Those who grow trees compare 32 bits: a value on the edge must go the way it went there.
        shortened = rows.astype(np.float32)
        total = np.zeros(len(rows))
        for tree in self._trees:
            total += tree.values(shortened)
        return total

    def _logistic(self, total: Numbers) -> list[float]:
        shown = np.clip(total + self._file.intercept, -700.0, 700.0)
        found: list[float] = (1.0 / (1.0 + np.exp(-shown))).tolist()
        return found


class _Arrays:
    """All rows go down a tree together, a level at a time."""

    def __init__(self, tree: Tree) -> None:
        self.feature, self.threshold = np.array(tree.feature), np.array(tree.threshold)
        self.left, self.right = np.array(tree.left), np.array(tree.right)
        self.value = np.array(tree.value)

    def values(self, rows: npt.NDArray[np.float32]) -> Numbers:
        at = np.zeros(len(rows), dtype=np.intp)
        every = np.arange(len(rows))
        while (inner := self.feature[at] != LEAF).any():
            goes_left = rows[every, self.feature[at]] <= self.threshold[at]
            at = np.where(inner, np.where(goes_left, self.left[at], self.right[at]), at)
        found: Numbers = self.value[at]
        return found


def _check(file: ModelFile) -> None:
    numbers: list[float] = [file.intercept, *file.weights]
    for feature in file.features:
        numbers += [feature.fill, feature.mean, feature.scale]
    for tree in file.trees:
        _check_tree(tree, len(file.features))
        numbers += [*tree.threshold, *tree.value]
    if not np.isfinite(numbers).all():
        raise BadModel("it holds a number that is not finite.")
    if not file.features:
        raise BadModel("it takes no features.")
    if file.kind == "boosted_trees" and not file.trees:
        raise BadModel("it has no trees.")
    if file.kind == "logistic_regression" and len(file.weights) != len(file.features):
        raise BadModel(f"it has {len(file.features)} features and {len(file.weights)} weights.")


def _check_tree(tree: Tree, features: int) -> None:
    """Children stand behind their parents, so that every way ends."""
    columns: list[Sequence[Any]] = [tree.feature, tree.threshold, tree.left, tree.right, tree.value]
    if not tree.feature or any(len(a) != len(b) for a, b in pairwise(columns)):
        raise BadModel("a tree needs as many entries in each list, and a root.")
    for node, (feature, left, right) in enumerate(
        zip(tree.feature, tree.left, tree.right, strict=True)
    ):
        if feature == LEAF:
            continue
        if not 0 <= feature < features:
            raise BadModel(f"a tree asks for feature {feature} of {features}.")
        if not (node < left < len(tree.feature) and node < right < len(tree.feature)):
            raise BadModel(f"node {node} of a tree has a child that does not stand behind it.")
