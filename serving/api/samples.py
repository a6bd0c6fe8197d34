"""`/tracker.js`, and the sample pages below `/samples` where they are turned on."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, RedirectResponse

from serving.api.services import services_of
from serving.errors import NotFound
from serving.web.pages import PAGES, SamplePages, asset

__all__ = ["router"]

router = APIRouter(tags=["samples"], include_in_schema=False)
# Files change with the server that sends them, so they are asked for each time; most have not.
FRESH = {"Cache-Control": "no-cache"}
PAGE = {
    **FRESH,
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}


def sample_pages(request: Request) -> SamplePages:
    """The pages, if this server has them."""
    pages = services_of(request).samples
    if pages is None:
        raise NotFound("The sample pages are off: `userflow serve --samples` has them.")
    return pages


Pages = Annotated[SamplePages, Depends(sample_pages)]


@router.get("/tracker.js")
async def tracker() -> FileResponse:
    """The tracker is for everybody's pages, and holds no secret."""
    return _file("tracker.js")


@router.get("/samples")
async def first(pages: Pages) -> RedirectResponse:
    """The shop is where to begin."""
    del pages
    return RedirectResponse("/samples/shop")


@router.get("/samples/setup.json")
async def setup(pages: Pages, request: Request) -> Any:
    """The keys of these pages; other sites' pages are refused."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise NotFound("This is for the sample pages alone.")
    return await pages.setup()


@router.get("/samples/products.json")
async def products(pages: Pages) -> Any:
    """What the shop sells."""
    return await pages.products()


@router.get("/samples/episodes.json")
async def episodes(pages: Pages) -> Any:
    """What there is to read."""
    return await pages.episodes()


@router.get("/samples/files/{name}")
async def file(name: str, pages: Pages) -> FileResponse:
    """A script or a style sheet."""
    del pages
    return _file(name)


@router.get("/samples/{page}")
async def page(page: str, pages: Pages) -> FileResponse:
    """One of the pages."""
    del pages
    if page not in PAGES:
        raise NotFound.named("sample page", page, PAGES)
    return _file(f"{page}.html")


def _file(name: str) -> FileResponse:
    path, media_type = asset(name)
    headers = PAGE if media_type == "text/html" else FRESH
    return FileResponse(path, media_type=media_type, headers=headers)
