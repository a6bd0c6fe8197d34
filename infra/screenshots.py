"""The pictures of the documentation: `make screenshots` takes them of what really runs.

A stack of its own in a temporary home, two simulated hours and then live input, the stream, API and
dashboard in the background, and Chromium, which opens each page and waits until it has drawn.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console

from infra.demo.child import streaming
from infra.demo.steps import Steps
from infra.errors import ServiceError, SetupError, UserflowError
from infra.initialise import initialise
from infra.settings import Settings
from infra.stack.stack import Stack
from infra.web_service import WebService

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["SHOTS", "Shot", "chromium", "main"]

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
DOMAINS = ("webtoon", "commerce")
PAST_S, LIVE_S = 2 * 3600, 900
LIVE_BEFORE_S = 60
WIDTH = 1440
LARGEST = 300_000
PATIENCE_MS = 60_000
SETTLED_MS = 1_500
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
CONTENT = "[data-testid=stMainBlockContainer], body"
HEIGHT = f"Math.max(...[...document.querySelectorAll('{CONTENT}')].map(e => e.scrollHeight))"
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


def _as_it_is(_: Page) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """`file`: its name below docs/images. `path`: of a page of `service`. `ready`: a selector of
    what is there once the page has drawn. `act`: what to do before the picture. `is_whole`: all of
    the page, however high it is.
    """

    file: str
    service: str
    path: str
    ready: str
    scheme: Scheme = "light"
    act: Callable[[Page], None] = _as_it_is
    height: int = 900
    is_whole: bool = False


def _shop(page: Page) -> None:
    """Look at some products of one kind and put two into the cart: that is a pattern."""
    page.locator("nav.chips a").nth(1).click()
    for number, is_wanted in enumerate((True, True, False, False)):
        page.locator(".goods a").nth(number).click()
        if is_wanted:
            page.locator(".product .button.main").click()
        page.wait_for_timeout(700)
        page.go_back()
        page.wait_for_timeout(300)
    page.locator(".goods a").nth(4).click()
    page.locator("#pattern .chip.loud").wait_for()


def _read(page: Page) -> None:
    """Scroll through half of an episode, as a reader does."""
    for _ in range(14):
        page.mouse.wheel(0, 280)
        page.wait_for_timeout(350)
    page.wait_for_function("parseFloat(document.getElementById('stored').style.width) > 0")


def _replay(page: Page) -> None:
    """Read, then see it again."""
    _read(page)
    page.wait_for_timeout(3_000)  # what was read last must have been streamed
    page.locator("#replay").click()
    page.locator("main svg").first.wait_for()
    page.wait_for_timeout(3_000)


def _dashboard(page: Page) -> None:
    """Wait until every chart has drawn what it shows."""
    page.wait_for_function(
        "() => { const all = [...document.querySelectorAll('.js-plotly-plot')];"
        f" return all.length === {CHARTS} && all.every(one => one.querySelector('.point')); }}"
    )


CHARTS = 6
DRAWN = ".st-key-panel-tests .js-plotly-plot"
SHOTS = (
    *(
        Shot(
            file=f"dashboard-{scheme}.png",
            service="dashboard",
            path="/",
            ready=DRAWN,
            scheme=scheme,
            act=_dashboard,
            height=1245,
        )
        for scheme in SCHEMES
    ),
    Shot(
        file="dashboard-whole.png",
        service="dashboard",
        path="/",
        ready=DRAWN,
        act=_dashboard,
        is_whole=True,
    ),
    Shot(file="shop.png", service="api", path="/samples/shop", ready=".goods a", act=_shop),
    Shot(file="webtoon.png", service="api", path="/samples/webtoon", ready=".episode", act=_read),
    Shot(file="replay.png", service="api", path="/samples/webtoon", ready=".episode", act=_replay),
)


def main() -> int:
    """Take all of them; the exit code is 1 when something did not run or draw."""
    steps = Steps(Console(stderr=True))
    try:
        path = chromium()
        with tempfile.TemporaryDirectory(prefix="userflow-") as folder, ExitStack() as running:
            settings = Settings(
                home=Path(folder) / ".userflow", kafka=None, postgres=None, redis=None, samples=True
            )
            addresses = _start(settings, running, steps)
            with steps.step("Take the pictures"):
                _take(path, addresses)
    except UserflowError as error:
        steps.say(str(error))
        return 1
    return 0


def chromium() -> str:
    """Where the browser is; raises `SetupError`."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        raise SetupError("There is no Chromium: `apt-get install chromium fonts-noto-core` has it.")
    return found


def _start(settings: Settings, running: ExitStack, steps: Steps) -> dict[str, str]:
    """Everything that the pages need; `running` ends it. Returns where the pages are."""
    stack = Stack(settings)
    running.callback(stack.down)
    with steps.step("Start Kafka, PostgreSQL and Redis"):
        initialise(stack.up(), settings, stack.credentials)
    with steps.step("Start the stream"):
        stream = running.enter_context(streaming(settings.home, "--jobs", ",".join(DOMAINS)))
        stream.wait_until_started()
    with steps.step("Simulate two hours"):
        for domain in DOMAINS:
            with _producing(settings.home, domain, PAST_S, "--no-pace") as past:
                if past.wait() != 0:
                    raise ServiceError(f"The events of {domain} could not be sent.")
    for domain in DOMAINS:
        running.enter_context(_producing(settings.home, domain, LIVE_S))
    addresses = {}
    for name in sorted({shot.service for shot in SHOTS}):
        service = WebService(settings, name)
        running.callback(service.down)
        with steps.step(f"Start the {name}"):
            addresses[name] = service.up(None)
    with steps.step("Go on live for a minute"):
        time.sleep(LIVE_BEFORE_S)
    return addresses


@contextmanager
def _producing(
    home: Path, domain: str, seconds: int, *options: str
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "infra", "produce", "--domain", domain, "--rate", "20"),
            *("--users", "2000", "--duration", str(seconds), "--disorder-rate", "0.02", *options),
        ],
        env={**os.environ, "USERFLOW_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def _take(path: str, addresses: dict[str, str]) -> None:
    from playwright.sync_api import Error, sync_playwright  # noqa: PLC0415 - a tool of developers

    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        failed = []
        for shot in SHOTS:
            try:
                _shoot(browser, shot, addresses[shot.service])
            except Error as error:
                failed.append(f"{shot.file} could not be taken: {error.message.splitlines()[0]}")
        browser.close()
    if failed:
        raise ServiceError("\n".join(failed))


def _shoot(browser: Browser, shot: Shot, address: str) -> None:
    """The whole page, as high as it is; raises `ServiceError` where the picture is no use."""
    page = browser.new_page(
        viewport={"width": WIDTH, "height": shot.height},
        color_scheme=shot.scheme,
        timezone_id="Asia/Seoul",
    )
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{address}{shot.path}")
    page.wait_for_selector(shot.ready)
    shot.act(page)
    page.wait_for_timeout(SETTLED_MS)
    if shot.is_whole:
        page.set_viewport_size({"width": WIDTH, "height": page.evaluate(HEIGHT)})
        shot.act(page)
        page.wait_for_timeout(SETTLED_MS)
    file = IMAGES / shot.file
    _save(page.screenshot(), file)
    page.close()
    if (size := file.stat().st_size) > LARGEST:
        raise ServiceError(f"{file} has {size:,} bytes, more than {LARGEST:,}.")


def _save(png: bytes, file: Path) -> None:
    """As it is, or with 256 colours, which makes a third of it and looks nearly the same."""
    if len(png) <= LARGEST:
        file.write_bytes(png)
        return
    from PIL import Image  # noqa: PLC0415 - comes with Streamlit

    picture = Image.open(io.BytesIO(png)).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)


if __name__ == "__main__":
    raise SystemExit(main())
