"""Every export says everything the contract says, in words its tool accepts."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import fastavro
import polars as pl
import pytest
from click.testing import CliRunner

from features.catalogue import CATALOGUE
from features.columns import ColumnType, arrow_schema, polars_schema, stored_columns
from features.contract import Contract
from features.contracts import CONTRACTS
from features.contracts.commerce import COMMERCE
from features.contracts.webtoon import WEBTOON
from features.errors import CoreError
from features.exports import (
    EXPORTS,
    contract_from_json,
    contract_to_json,
    to_avro,
    to_markdown_page,
    to_spark,
    to_sql,
)
from features.exports.catalogue import to_catalogue

ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden"

every_contract = pytest.mark.parametrize("contract", CONTRACTS.values(), ids=lambda c: c.topic)
every_export = pytest.mark.parametrize("target", EXPORTS)


@every_contract
@every_export
def test_an_export_mentions_every_field(contract: Contract, target: str) -> None:
    text = EXPORTS[target].render(contract)
    on_input = target in ("jsonschema", "markdown")
    for field in contract.fields if on_input else contract.stored_fields:
        assert field.name in text
        assert field.doc.split("'")[0] in text  # a quote would be escaped


@every_export
def test_the_webtoon_export_is_the_golden_one(target: str) -> None:
    export = EXPORTS[target]
    golden = GOLDEN / f"{WEBTOON.topic}.{export.suffix}"
    assert export.render(WEBTOON) == golden.read_text("utf-8")


def test_the_page_of_contracts_is_current() -> None:
    page = (ROOT / "docs" / "contracts.md").read_text("utf-8")
    assert page == to_markdown_page(CONTRACTS.values()), "run: userflow contracts docs"


def test_the_catalogue_of_features_is_current() -> None:
    page = (ROOT / "docs" / "features.md").read_text("utf-8")
    assert page == to_catalogue(CATALOGUE.values()), "userflow features docs > docs/features.md"


# --- columns ------------------------------------------------------------------------------------


@every_contract
def test_a_column_name_stands_once(contract: Contract) -> None:
    names = [column.name for column in stored_columns(contract)]
    assert len(set(names)) == len(names)


@every_contract
def test_polars_and_arrow_agree_on_the_stored_types(contract: Contract) -> None:
    columns = stored_columns(contract)
    frame = pl.from_arrow(arrow_schema(columns).empty_table())
    assert isinstance(frame, pl.DataFrame)
    assert frame.schema == pl.Schema(polars_schema(columns))


@every_contract
@pytest.mark.parametrize("render", [to_spark, to_sql, lambda c: to_sql(c, "delta")])
def test_ddl_lists_the_columns_in_the_stored_order(contract: Contract, render: object) -> None:
    assert callable(render)
    text = render(contract)
    places = [
        min(p for p in (text.find(f'"{c.name}" '), text.find(f"`{c.name}` ")) if p >= 0)
        for c in stored_columns(contract)
    ]
    assert places == sorted(places)


def test_a_nested_record_is_a_struct_in_spark_and_jsonb_in_postgresql() -> None:
    struct = "ARRAY<STRUCT<product_id: STRING, quantity: BIGINT, unit_price: DOUBLE>>"
    assert f"`items` {struct}" in to_spark(COMMERCE)
    assert '"items" jsonb' in to_sql(COMMERCE)


def test_a_quote_in_a_doc_stays_inside_its_literal() -> None:
    quoted = replace(WEBTOON, doc="It's a \\ test.")
    assert "IS 'It''s a \\ test.'" in to_sql(quoted)
    assert "COMMENT 'It\\'s a \\\\ test.'" in to_sql(quoted, "delta")


# --- Avro ---------------------------------------------------------------------------------------

SAMPLES: dict[ColumnType, object] = {
    ColumnType.STRING: "text",
    ColumnType.DOUBLE: 0.5,
    ColumnType.LONG: 2**40,
    ColumnType.INT: 7,
    ColumnType.BOOLEAN: True,
    ColumnType.TIMESTAMP: datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    ColumnType.DATE: date(2026, 1, 2),
    ColumnType.STRING_MAP: {"a": "b"},
}


def sample(columns: tuple[object, ...]) -> dict[str, object]:
    return {
        c.name: [sample(c.items)] if c.type is ColumnType.RECORDS else SAMPLES[c.type]
        for c in columns
    }


@every_contract
@pytest.mark.parametrize("filled", [True, False], ids=["full", "only what is not null"])
def test_a_record_survives_avro(contract: Contract, filled: bool) -> None:
    schema = fastavro.parse_schema(to_avro(contract))
    columns = stored_columns(contract)
    record = sample(columns)
    if not filled:
        record = {c.name: None if c.nullable else record[c.name] for c in columns}
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, schema, record, strict=True)
    buffer.seek(0)
    assert fastavro.schemaless_reader(buffer, schema, None) == record


# --- the document -------------------------------------------------------------------------------


@every_contract
def test_a_contract_survives_json_but_for_its_code(contract: Contract) -> None:
    document = json.loads(json.dumps(contract_to_json(contract)))
    assert contract_from_json(document) == replace(contract, complete=None, complete_for=())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"colour": "red"}, "has no colour"),
        ({"fields": [{"name": "a", "type": "text", "doc": "."}]}, "There is no type 'text'"),
        ({"fields": [{"name": "a", "type": "id", "doc": ".", "size": 1}]}, "field has no size"),
        ({"fields": ["a"]}, "not str"),
        ({"fields": 5}, "'fields' of a contract is int; expected list"),
        ({"version": "2"}, "'version' of a contract is str; expected int"),
        ({"version": True}, "is bool; expected int"),
        ({"key": [1]}, "holds more than texts"),
        ({"fields": [{"name": "a", "type": "long", "doc": ".", "minimum": "0"}]}, "'minimum'"),
    ],
)
def test_a_wrong_document_is_refused_by_name(change: dict[str, object], said: str) -> None:
    with pytest.raises(CoreError, match=said):
        contract_from_json({**contract_to_json(WEBTOON), **change})


@pytest.mark.parametrize("missing", ["topic", "fields", "version"])
def test_an_incomplete_document_is_refused_by_name(missing: str) -> None:
    document = contract_to_json(WEBTOON)
    del document[missing]
    with pytest.raises(CoreError, match=missing):
        contract_from_json(document)


# --- the command line ---------------------------------------------------------------------------


def run(*words: str) -> tuple[int, str]:
    from infra.cli.contracts import contracts

    result = CliRunner().invoke(contracts, words)
    return result.exit_code, result.output


def test_show_writes_what_check_reads(tmp_path: Path) -> None:
    code, text = run("show", "webtoon", "--json")
    assert code == 0
    old = tmp_path / "old.json"
    old.write_text(text, "utf-8")
    assert run("check", str(old), "webtoon") == (
        0,
        "webtoon_user_events: version 1 is compatible.\n",
    )


def test_check_names_each_broken_rule_and_fails(tmp_path: Path) -> None:
    document = contract_to_json(WEBTOON)
    document["fields"].pop()
    new = tmp_path / "new.json"
    new.write_text(json.dumps(document), "utf-8")
    code, text = run("check", "webtoon", str(new))
    assert code == 1
    assert text.splitlines() == [
        "version not increased: something changed, and it is still 1",
        "removed field: ui_version",
    ]
    code, text = run("check", "webtoon", str(new), "--json")
    assert (code, json.loads(text)["compatible"]) == (1, False)


def test_an_unknown_contract_is_wrong_use_with_the_nearest_names() -> None:
    code, text = run("show", "webtoon_user_event")
    assert code == 2
    assert "webtoon_user_events" in text


@pytest.mark.parametrize("target", ["avro", "jsonschema", "spark", "sql", "markdown"])
def test_export_writes_one_file_per_contract(target: str, tmp_path: Path) -> None:
    code, _ = run("export", "--format", target, "--out", str(tmp_path / "out"))
    assert code == 0
    suffix = EXPORTS[target].suffix
    written = {file.name for file in (tmp_path / "out").iterdir()}
    assert written == {f"{topic}.{suffix}" for topic in CONTRACTS}


def test_list_names_every_contract() -> None:
    code, text = run("list", "--json")
    assert code == 0
    assert [row["topic"] for row in json.loads(text)] == [*CONTRACTS]
    code, text = run("list")
    assert code == 0
    assert all(contract.name in text for contract in CONTRACTS.values())
