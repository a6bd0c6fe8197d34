"""The real dashboard in a real browser: empty, with rows, while a store is away, ended in order."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dashboard_rows import JOB, put_messages, put_rows
from stacks import settings_for

from infra.endpoints import Endpoints
from infra.stack.stack import Stack
from infra.web_service import WebService

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.stack,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
PANELS = ("numbers", "sessions", "products", "genre", "country", "tests", "streams", "alerts")
PATIENCE_MS = 30_000
# What Streamlit draws when a script of its own has failed, or the server is gone.
BROKEN = "[data-testid=stException], [data-testid=stConnectionStatus], [role=dialog]"


def userflow(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra", *arguments],
        env={**os.environ, "USERFLOW_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.fixture(scope="module")
def address(stack: Endpoints, stack_home: Path) -> Iterator[str]:
    done = userflow(stack_home, "dashboard", "--background")
    assert done.returncode == 0, done.stderr
    yield done.stdout.split()[-1]
    WebService(settings_for(stack_home), "dashboard").down()


@pytest.fixture(scope="module")
def asked() -> list[str]:
    """The addresses that the page has asked."""
    return []


@pytest.fixture(scope="module")
def page(address: str, asked: list[str]) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 3000})
        page.set_default_timeout(PATIENCE_MS)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        yield page
        browser.close()


def has(page: Any, panel: str, text: str) -> None:
    page.locator(f".st-key-panel-{panel}").get_by_text(text).first.wait_for()


def drawn(page: Any, chart: str, what: str) -> None:
    page.locator(f".st-key-chart-{chart} .js-plotly-plot {what}").first.wait_for()


def test_empty_it_has_every_panel_and_says_what_to_run(page: Any) -> None:
    for panel in PANELS:
        page.locator(f".st-key-panel-{panel}").wait_for()
    has(page, "sessions", "userflow produce --domain commerce")
    has(page, "genre", "userflow produce --domain webtoon")
    has(page, "streams", "No stream has run yet")
    has(page, "alerts", "nothing unusual was found")
    assert page.locator(BROKEN).count() == 0
    assert page.locator("[data-testid=stAlert]").count() == 0


def test_it_refreshes_by_itself(page: Any) -> None:
    first = page.get_by_text("Updated 20").inner_text()
    page.wait_for_function(
        "before => ![...document.querySelectorAll('p')].some(p => p.innerText === before)",
        arg=first,
    )


def test_rows_appear_without_a_reload(page: Any, stack: Endpoints) -> None:
    page.evaluate("window.notReloaded = true")
    put_rows(stack)
    put_messages(stack)
    drawn(page, "sessions", ".point")
    drawn(page, "products", ".bars .point")
    drawn(page, "genre", ".point")
    drawn(page, "country", ".point")
    drawn(page, "reading", ".errorbar")
    has(page, "streams", JOB)
    page.locator(".st-key-panel-alerts [data-testid=stDataFrame]").wait_for()
    page.locator("[data-testid=stMetricValue]").filter(has_text="20.0%").wait_for()
    assert page.evaluate("window.notReloaded")
    assert page.locator(BROKEN).count() == 0


def test_a_refresh_takes_no_chart_away(page: Any) -> None:
    before, least = page.evaluate(
        """async () => {
          const all = () => [...document.querySelectorAll(".js-plotly-plot")];
          const drawn = () => all().filter(one => one.querySelector(".point")).length;
          const before = drawn(), until = performance.now() + 7000;
          let least = before;
          while (performance.now() < until) {
            await new Promise(requestAnimationFrame);
            least = Math.min(least, drawn());
          }
          return [before, least];
        }"""
    )
    assert before == least == 5


def test_names_from_events_are_text(page: Any) -> None:
    assert page.locator(".st-key-panel-products").get_by_text("<b>").count() > 0
    assert page.locator("b", has_text="실험").count() == 0


def test_it_asks_nobody_else(page: Any, asked: list[str], address: str) -> None:
    places = (address, address.replace("http", "ws"), "data:", "blob:")
    assert asked
    assert [url for url in asked if not url.startswith(places)] == []


def test_while_postgresql_is_away_it_says_so_and_shows_what_it_knew(
    page: Any, stack: Endpoints, stack_home: Path
) -> None:
    services = Stack(settings_for(stack_home))
    services._service("postgres").stop()
    page.get_by_text("PostgreSQL does not answer").first.wait_for()
    assert page.locator(".st-key-chart-genre .point").count() > 0
    services.up()
    page.locator("[data-testid=stAlert]").filter(has_text="PostgreSQL").wait_for(state="detached")
    assert page.locator(BROKEN).count() == 0


def test_status_knows_it_and_a_second_start_finds_it(address: str, stack_home: Path) -> None:
    status = json.loads(userflow(stack_home, "status", "--json").stdout)
    assert status["dashboard"]["running"]
    assert Endpoints.read(stack_home).dashboard == address
    again = userflow(stack_home, "dashboard", "--background")
    assert again.stdout.split()[-1] == address
    refused = userflow(stack_home, "dashboard")
    assert refused.returncode == 1
    assert "in the background already" in refused.stderr


def test_it_ends_in_order(address: str, stack_home: Path) -> None:
    service = WebService(settings_for(stack_home), "dashboard")
    log = (stack_home / "services" / "dashboard" / "service.log").read_text()
    assert "Traceback" not in log
    service.down()
    assert Endpoints.read(stack_home).dashboard is None
    assert service.status() == {}
