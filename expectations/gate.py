"""One run of a suite by Great Expectations: a checkpoint with one validation for each table.

The context lives in memory, and only the results of the last runs and the Data Docs are files. They
hold neither the address nor the password of the database: the connection string is a variable that
is substituted from the run's own environment.
"""

from __future__ import annotations

import logging
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from expectations.outcome import Outcome, outcomes_of
from expectations.suites.rules import Rule, Table

__all__ = ["DOCS_PAGE", "run_checkpoint"]

DOCS_PAGE = "docs/index.html"
URL = "USERFLOW_GATE_URL"
KEPT_RUNS = 10
EXAMPLES = 5
SEVERITIES = {"stop": "critical", "warn": "warning"}


def run_checkpoint(
    name: str,
    tables: Sequence[tuple[Table, Sequence[Rule]]],
    *,
    url: str,
    folder: Path,
    run_name: str,
) -> list[Outcome]:
    """Check these rules of each table, in the order given, and render the Data Docs.

    `url`: as SQLAlchemy takes it, of TCP. `folder`: for results and `DOCS_PAGE`; one run at a time.
    """
    if not tables:  # a checkpoint over nothing is an error to Great Expectations
        return []
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _quiet():
        import great_expectations as gx  # noqa: PLC0415 - takes seconds

        context = gx.get_context(
            mode="ephemeral", project_config=_project(folder), runtime_environment={URL: url}
        )
        source = context.data_sources.add_postgres(
            "postgres", connection_string=f"${{{URL}}}", create_temp_table=True
        )
        try:
            _forget(folder / "results")
            validations = [_validation(context, source, *one) for one in tables]
            checkpoint = context.checkpoints.add(
                gx.Checkpoint(
                    name=name,
                    validation_definitions=validations,
                    actions=[gx.checkpoint.UpdateDataDocsAction(name="docs")],
                    result_format={
                        "result_format": "SUMMARY",
                        "partial_unexpected_count": EXAMPLES,
                    },
                )
            )
            run = gx.RunIdentifier(run_name=run_name, run_time=datetime.now(UTC))
            results = checkpoint.run(run_id=run).run_results.values()
        finally:
            source.get_engine().dispose()
    return [one for result in results for one in outcomes_of(result)]


def _project(folder: Path) -> Any:
    from great_expectations.data_context.types.base import (  # noqa: PLC0415
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    defaults = InMemoryStoreBackendDefaults()
    defaults.stores["validation_results_store"]["store_backend"] = _files(folder / "results")
    docs = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": _files((folder / DOCS_PAGE).parent),
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
    }
    return DataContextConfig(
        store_backend_defaults=defaults,
        data_docs_sites={"docs": docs},
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )


def _files(folder: Path) -> dict[str, str]:
    return {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder)}


def _forget(results: Path) -> None:
    """Drop all but the newest runs of each table; the Data Docs follow what is there."""
    for table in results.glob("*"):
        runs = sorted(table.glob("*/*"), key=lambda run: run.name)
        for run in runs[: 1 - KEPT_RUNS]:
            shutil.rmtree(run)


def _validation(context: Any, source: Any, table: Table, rules: Sequence[Rule]) -> Any:
    import great_expectations as gx  # noqa: PLC0415

    asset = source.add_query_asset(table.name, query=table.query.as_string())
    suite = gx.ExpectationSuite(name=table.name, expectations=[*map(_expectation, rules)])
    return context.validation_definitions.add(
        gx.ValidationDefinition(
            name=table.name,
            data=asset.add_batch_definition_whole_table("rows"),
            suite=context.suites.add(suite),
        )
    )


def _expectation(rule: Rule) -> Any:
    from great_expectations import expectations  # noqa: PLC0415
    from great_expectations.expectations.row_conditions import Column  # noqa: PLC0415

    arguments = dict(rule.arguments)
    if rule.column and rule.check != "unique":
        arguments["column"] = rule.column
    if rule.only:
        column, values = rule.only
        arguments["row_condition"] = Column(column).is_in(values)
    meta = {"check": rule.check, "column": rule.column, "severity": rule.severity}
    make = getattr(expectations, rule.expectation)
    return make(severity=SEVERITIES[rule.severity], meta=meta, **arguments)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what Great Expectations and what it imports warn their own developers of."""
    logger = logging.getLogger("great_expectations")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
