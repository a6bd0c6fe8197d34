"""Suites follow from the declarations: what is declared is expected, and nothing is named twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from expectations.suites import SUITES, marts, online_views, raw_events, tables_of
from expectations.suites.history import LEAST_DAYS, usual
from expectations.suites.ranges import range_of
from expectations.suites.rules import Table
from features.columns import Column, ColumnType, sql_type
from features.contract import Field, FieldType
from features.contracts import CONTRACTS
from features.contracts.webtoon import WEBTOON
from features.marts import MARTS, PUBLISHED, Mart
from features.views import VIEWS
from infra.cli.quality import SUITES as CHOICES

DAY = date(2026, 1, 15)
MODELS = Path(__file__).parents[3] / "dbt_project" / "models" / "marts"
NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=LEAST_DAYS, max_size=14)


def names(table: Table) -> set[str]:
    return {rule.name for rule in table.rules}


def test_a_new_field_of_a_contract_is_expected_without_another_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mood = Field(name="mood", type=FieldType.LONG, required=True, minimum=1, doc="How one feels.")
    kind = Field(name="kind", type=FieldType.STRING, allowed=("a",), pattern="a", doc="Kind.")
    grown = replace(WEBTOON, fields=(*WEBTOON.fields, mood, kind))
    (before,) = (t for t in tables_of("raw", DAY) if t.name == WEBTOON.topic)
    monkeypatch.setattr(raw_events, "CONTRACTS", {grown.topic: grown})
    (after,) = raw_events.raw_tables(DAY)
    assert names(after) - names(before) == {
        "mood.not_null",
        "mood.between",
        "kind.allowed",
        "kind.pattern",
    }
    assert "NOT IN ('number', 'null') THEN 'mood'" in after.query.as_string()
    assert after.measured == ("scroll_ratio", "mood")


def test_every_suite_covers_what_is_declared() -> None:
    covered = {suite: {t.name for t in tables_of(suite, DAY)} for suite in ("raw", "features")}
    assert covered == {"raw": {*CONTRACTS}, "features": {*VIEWS, *PUBLISHED}}
    assert {t.name for t in tables_of("marts", DAY)} == {*MARTS}


def test_the_command_knows_the_suites() -> None:
    assert set(CHOICES) == set(SUITES)


@pytest.mark.parametrize("suite", SUITES)
def test_the_rules_of_a_table_have_names_of_their_own(suite: str) -> None:
    for table in tables_of(suite, DAY):
        found = [rule.name for rule in table.rules]
        assert len(found) == len(set(found)) > 3, table.name


def test_a_field_that_a_source_may_be_excused_from_only_warns() -> None:
    (shop,) = (t for t in tables_of("raw", DAY) if t.name == "user-events")
    severities = {rule.name: rule.severity for rule in shop.rules}
    assert severities["order_id.not_null_where"] == "warn"
    assert severities["page_url.not_null_where"] == "stop"


def test_no_rule_on_personal_data_shows_values() -> None:
    """Great Expectations keeps values that break a rule, but not those of these."""
    columns = [*(c for view in VIEWS.values() for c in view.online_columns)]
    columns += [c for mart in MARTS.values() for c in mart.columns]
    fields = [f for contract in CONTRACTS.values() for f in contract.fields]
    personal = {one.name for one in (*columns, *fields) if one.pii}
    shown = {
        rule.expectation
        for suite in SUITES
        for table in tables_of(suite, DAY)
        for rule in table.rules
        if rule.column and personal & set(rule.column.split("+"))
    }
    assert shown == {
        "ExpectColumnValuesToBeInTypeList",  # the type of the column
        "ExpectColumnValuesToNotBeNull",  # nulls
        "UnexpectedRowsExpectation",  # a count
    }


def test_only_the_rows_of_the_day_are_looked_at() -> None:
    for table in (*tables_of("raw", DAY), *marts.mart_tables(DAY)[:4]):
        assert "'2026-01-15'" in table.query.as_string(), table.name
    assert "WHERE" not in online_views.online_tables(DAY)[0].query.as_string()


def test_batch_views_have_names_and_keys_that_no_streaming_view_has() -> None:
    assert not set(PUBLISHED) & set(VIEWS)
    assert {v.redis_key.partition(":")[0] for v in PUBLISHED.values()} == {"batch"}
    assert not [v.name for v in VIEWS.values() if v.redis_key.startswith("batch")]


@pytest.mark.parametrize(
    ("name", "unit", "bounds"),
    [
        ("exit_rate_7d", "ratio", (0, 1)),
        ("purchase_to_cart_rate_7d", "ratio", (0, None)),
        ("view_count_1h", "events", (0, None)),
        ("revenue", None, (0, None)),
        ("p_value_7d", None, (0, 1)),
        ("z_7d", None, None),
        ("content_quality_score", None, (0, 100)),
        ("current_popularity_rank", None, (1, None)),
    ],
)
def test_a_range_follows_from_unit_and_name(
    name: str, unit: str | None, bounds: tuple[float | None, float | None] | None
) -> None:
    assert range_of(Column(name, ColumnType.DOUBLE, "", unit=unit)) == bounds


def test_of_few_days_nothing_is_concluded() -> None:
    assert usual([5.0] * (LEAST_DAYS - 1)) == (None, None)
    assert usual([5.0] * LEAST_DAYS) == (2.5, 7.5)


@given(NUMBERS)
def test_the_median_day_is_usual_and_the_order_of_days_does_not_matter(days: list[float]) -> None:
    least, largest = usual(days)
    assert least is not None
    assert largest is not None
    assert least <= sorted(days)[len(days) // 2] <= largest
    assert usual(days[::-1]) == (least, largest)


def test_one_odd_day_does_not_make_the_next_odd_one_usual() -> None:
    _, largest = usual([100, 101, 99, 100, 10_000])
    assert largest is not None
    assert largest < 200


@pytest.mark.skipif(not MODELS.exists(), reason="the dbt project is not there")
@pytest.mark.parametrize("mart", MARTS.values(), ids=lambda mart: mart.name)
def test_a_mart_is_declared_as_dbt_builds_it(mart: Mart) -> None:
    """dbt enforces what its models declare: names, types and the key."""
    document = yaml.safe_load((MODELS / f"{mart.name}.yml").read_text(encoding="utf-8"))
    (model,) = document["models"]
    built = {column["name"]: column["data_type"] for column in model["columns"]}
    full = {"timestamptz": "timestamp with time zone"}
    declared = {c.name: full.get(sql_type(c), sql_type(c)) for c in mart.columns}
    assert declared.items() <= built.items()
    (key,) = (one for one in model["constraints"] if one["type"] == "primary_key")
    assert set(key["columns"]) == set(mart.key)
