"""Fits a model and logs it. Runs in the environment of MLflow, knows files and nothing of ours.

The exported file is what the API serves (docs/howto/recommend.md says what stands in it); a few
rows with the scores that scikit-learn gives them go beside it, for the caller to compare.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

EXPERIMENT = "ranker"
LATEST = 0.2  # the share of the rows, the latest, that is kept for judging
CHECKED = 200
TINY = 1e-9


def main() -> None:
    """Read rows, fit, judge on the latest of them, log, export."""
    arguments = _arguments()
    rows = pd.read_parquet(arguments.rows).sort_values("label_at", kind="stable")
    names = [name for name in rows.columns if name not in {"label_at", "label"}]
    labels, cut = rows["label"].to_numpy(), int(len(rows) * (1 - LATEST))
    prepared, inputs = _prepared(rows[names], names, cut)
    make, settings, export = KINDS[arguments.kind]
    model = make(**settings, random_state=7).fit(prepared[:cut], labels[:cut])
    scores = model.predict_proba(prepared)[:, 1]
    metrics = _judged(labels, scores, cut, rows["popularity_score"])
    with _run(arguments) as run:
        exported = {
            "format": 1,
            "name": "cart",
            "version": run.info.run_id,
            "domain": "commerce",
            "kind": arguments.kind,
            "features": inputs,
            **export(model),
        }
        Path(arguments.model).write_text(json.dumps(exported))
        mlflow.log_params({"kind": arguments.kind, "rows": len(rows), **settings})
        mlflow.log_metrics(metrics)
        mlflow.log_artifact(arguments.model)
    checked = rows[names].tail(CHECKED).astype(object)
    told = {
        "run_id": run.info.run_id,
        "metrics": metrics,
        "rows": checked.where(checked.notna(), None).to_dict("records"),
        "scores": scores[-CHECKED:].tolist(),
    }
    print(json.dumps(told))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("rows", "model", "kind", "tracking", "artifacts"):
        parser.add_argument(f"--{name}", required=True)
    return parser.parse_args()


def _run(arguments: argparse.Namespace) -> mlflow.ActiveRun:
    mlflow.set_tracking_uri(arguments.tracking)
    if mlflow.get_experiment_by_name(EXPERIMENT) is None:
        mlflow.create_experiment(EXPERIMENT, artifact_location=arguments.artifacts)
    mlflow.set_experiment(EXPERIMENT)
    return mlflow.start_run()


def _prepared(rows: pd.DataFrame, names: list[str], cut: int) -> tuple[np.ndarray, list[dict]]:
    """Missing values filled, all scaled, by what is known before the rows that judge."""
    known = rows.iloc[:cut]
    fill = known.mean().fillna(0.0)
    filled = known.fillna(fill)
    mean, spread = filled.mean(), filled.std(ddof=0)
    # What is always the same differs by rounding, and must not be blown up.
    scale = spread.where(spread > TINY * mean.abs().clip(lower=1.0), 1.0)
    inputs = [
        {
            "name": name,
            "fill": float(fill[name]),
            "mean": float(mean[name]),
            "scale": float(scale[name]),
        }
        for name in names
    ]
    return ((rows.fillna(fill) - mean) / scale).to_numpy(), inputs


def _weights(model: LogisticRegression) -> dict:
    return {"intercept": float(model.intercept_[0]), "weights": model.coef_[0].tolist()}


def _trees(model: GradientBoostingClassifier) -> dict:
    share = float(model.init_.class_prior_[1])
    return {
        "intercept": float(np.log(share / (1 - share))),
        "trees": [_tree(one.tree_, model.learning_rate) for (one,) in model.estimators_],
    }


def _tree(tree: object, rate: float) -> dict:
    is_leaf = tree.children_left == -1
    return {
        "feature": np.where(is_leaf, -1, tree.feature).tolist(),
        "threshold": np.where(is_leaf, 0.0, tree.threshold).tolist(),
        "left": tree.children_left.tolist(),
        "right": tree.children_right.tolist(),
        "value": (tree.value[:, 0, 0] * rate).tolist(),
    }


def _judged(
    labels: np.ndarray, scores: np.ndarray, cut: int, popularity: pd.Series
) -> dict[str, float]:
    """Of the rows that the model has not seen, and beside what popularity alone would say."""
    unseen = labels[cut:]
    by_popularity = popularity.fillna(0.0).to_numpy()[cut:]
    return {
        "auc": float(roc_auc_score(unseen, scores[cut:])),
        "auc_of_popularity": float(roc_auc_score(unseen, by_popularity)),
        "log_loss": float(log_loss(unseen, scores[cut:])),
        "positive_share": float(labels.mean()),
    }


# How a kind of model is made, with which settings, and how it is exported.
KINDS = {
    "boosted_trees": (
        GradientBoostingClassifier,
        {"n_estimators": 60, "max_depth": 3, "learning_rate": 0.1, "subsample": 0.8},
        _trees,
    ),
    "logistic_regression": (LogisticRegression, {"C": 1.0, "max_iter": 1000}, _weights),
}

if __name__ == "__main__":
    main()
