"""Labels, a training set, a model, a run of MLflow, and a file to serve."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from examples.ranker.environment import Environment
from examples.ranker.labels import labels_of
from examples.ranker.rows import ASKED, INPUTS, numbers_of
from infra.errors import StreamFailed, UserflowError
from infra.settings import load_settings
from serving.recommend.model import load_model
from serving.recommend.rankers import Candidate
from serving.training import TrainingSetError, training_set

FIT = Path(__file__).parent / "fit.py"
READ = ["event_id", "event_at", "event_type", "user_id", "product_id"]
# scikit-learn compares with 32 bits.
CLOSE = 1e-6


def train(
    folder: Path, environment: Environment, *, lake: str, kind: str, mode: Any, say: Any
) -> dict[str, Any]:
    """Train, log and export into `folder`; returns what to tell."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = labels_of(_archived(f"{lake}/events/user_events"))
    rows = numbers_of(training_set(labels, ASKED, lake=lake, mode=mode, say=say))
    if set(rows["label"]) != {0, 1}:
        raise StreamFailed(
            f"Found {rows.height:,} views of products, and not of both outcomes: stream more "
            "commerce events first."
        )
    rows.write_parquet(folder / "rows.parquet")
    environment.prepare(say)
    model, tracking = folder / "model.json", f"sqlite:///{folder / 'mlflow.db'}"
    options = {
        "rows": folder / "rows.parquet",
        "model": model,
        "kind": kind,
        "tracking": tracking,
        "artifacts": folder / "artifacts",
    }
    told = environment.run(FIT, *(f"--{name}={value}" for name, value in options.items()))
    fitted = json.loads(told.splitlines()[-1])
    _compare(model, fitted)
    return {
        "rows": rows.height,
        "known": rows.drop_nulls(INPUTS).height,
        "model": str(model),
        "tracking": tracking,
        "run_id": fitted["run_id"],
        "metrics": fitted["metrics"],
    }


def _archived(path: str) -> pl.DataFrame:
    try:
        return pl.DataFrame(DeltaTable(path).to_pyarrow_table(columns=READ))
    except TableNotFoundError as error:
        raise StreamFailed(f"There is no {path}: stream commerce events first.") from error


def _compare(model: Path, fitted: dict[str, Any]) -> None:
    """What will be served must say what was trained."""
    candidates = [Candidate(str(n), row) for n, row in enumerate(fitted["rows"])]
    served = [score.value for score in load_model(model).score({}, candidates)]
    furthest = max(abs(a - b) for a, b in zip(served, fitted["scores"], strict=True))
    if furthest > CLOSE:
        raise StreamFailed(f"The exported model is off by {furthest:g}: it was not exported well.")


@click.command()
@click.option(
    "--kind",
    type=click.Choice(["logistic_regression", "boosted_trees"]),
    default="boosted_trees",
    show_default=True,
)
@click.option(
    "--mode",
    type=click.Choice(["as-served", "event-time"]),
    default="as-served",
    show_default=True,
    help="event-time: for events that were streamed long after they happened.",
)
def main(kind: str, mode: str) -> None:
    """Train a model that ranks products, and export it."""
    settings = load_settings()
    try:
        told = train(
            settings.home / "examples" / "ranker",
            Environment(settings.home),
            lake=settings.lake_root,
            kind=kind,
            mode=mode,
            say=lambda text: click.echo(text, err=True),
        )
    except (UserflowError, TrainingSetError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(told, indent=2))
    click.echo(f"Serve it: USERFLOW_RANKER_MODEL={told['model']} userflow serve", err=True)


if __name__ == "__main__":
    main()
