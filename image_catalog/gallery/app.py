"""The page as an ASGI application: routes, and what each answers in HTML or JSON.

Puts the other modules of the gallery to use; whatever takes time happens in threads, a few at a time, so that thumbnails never
hold up a search. Pictures are known by their row ids, never by paths.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import hmac
import os
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs

import anyio
import jinja2
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from image_catalog import viewer
from image_catalog.catalog_views import CatalogViews, PictureFile
from image_catalog.errors import ImageError, UsageError, UserError
from image_catalog.gallery import answers, charts, parameters, world_map
from image_catalog.gallery.guard import Address, Guard
from image_catalog.gallery.messages import Messages, choose_language, messages
from image_catalog.gallery.parameters import url
from image_catalog.gallery.status import status
from image_catalog.gallery.thumbnails import SIZES, Thumbnails, check_lies_under
from image_catalog.gallery.warm_catalog import WarmCatalog

_HERE = Path(__file__).parent
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# What a browser shows as a picture and never runs; anything else is for saving.
_SHOWN_FORMATS = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif", "AVIF": "image/avif"}
_FOR_EVER = "private, max-age=31536000, immutable"
_AT_ONCE = 3  # searches: more would only take the interpreter from each other
_LARGE = SIZES[-1]

Result = TypeVar("Result")


def application(warm: WarmCatalog, thumbnails: Thumbnails, address: Address) -> ASGIApp:
    """The page of one catalog, served at `address`."""
    page = _Page(warm, thumbnails, address)
    get = functools.partial(Route, methods=["GET"])  # and HEAD
    routes = [
        get("/", page.search),
        get("/image/{id:int}", page.image),
        get("/status", page.status),
        get("/thumb/{id:int}", page.thumb),
        get("/picture/{id:int}", page.picture),
        get("/original/{id:int}", page.original),
        get("/api/search", page.api_search),
        get("/api/facets", page.api_facets),
        get("/api/image/{id:int}", page.api_image),
        get("/api/status", page.api_status),
        get("/static/{name}", page.static),
        get("/favicon.ico", page.favicon),
        Route("/image/{id:int}/describe-again", page.describe_again, methods=["POST"]),
        Route("/image/{id:int}/open-folder", page.open_folder, methods=["POST"]),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(page.warm_up())
        yield
        warming.cancel()

    handlers: dict[Any, Any] = {
        UserError: page.failed,
        HTTPException: page.refused,
        ClientDisconnect: page.left,
        Exception: page.broken,
    }
    # Around all of it, so that even the answer to a bug has its headers.
    return Guard(Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan), address)


class _Page:
    """The answers to requests."""

    def __init__(self, warm: WarmCatalog, thumbnails: Thumbnails, address: Address) -> None:
        self._warm = warm
        self._thumbnails = thumbnails
        self._address = address
        self._csrf = secrets.token_urlsafe(32)
        self._statics = {file.name: _Static(file) for file in (_HERE / "static").iterdir() if file.suffix in _TYPES}
        self._templates = jinja2.Environment(loader=jinja2.FileSystemLoader(_HERE / "templates"), autoescape=True)
        self._templates.globals |= {"url": url, "static": self._static_url, "csrf": self._csrf}
        self._limiter = anyio.CapacityLimiter(_AT_ONCE)

    async def warm_up(self) -> None:
        """Do once what the first search would wait for."""
        with contextlib.suppress(UserError):
            await self._run(self._warm.facets)
            await self._run(answers.results, self._warm, {"q": ["a"]}, 0, 1)

    async def _run(self, function: Callable[..., Result], *arguments: Any) -> Result:
        return await anyio.to_thread.run_sync(functools.partial(function, *arguments), limiter=self._limiter)

    # HTML

    async def search(self, request: Request) -> Response:
        given = parameters.read(request.query_params)
        offset, limit = parameters.page_of(request.query_params)
        t = _language(request)
        code = 200
        try:
            page = await self._run(answers.results, self._warm, given, offset, limit)
            facets = await self._run(answers.facets, self._warm, given, t.lang)
        except UsageError as error:  # a filter that makes no sense is said above the pictures that there are: none
            code, facets = 400, {"months": []}
            page = await self._run(answers.results, self._warm, {}, 0, 1)
            page |= {"results": [], "total": None, "next": None, "notes": [str(error)], "query": parameters.first(given, "q")}
        return self._html(request, "search.html", code, page=page, facets=facets, params=given)

    async def image(self, request: Request) -> Response:
        given = parameters.read(request.query_params)
        found = await self._known_image(request, given)
        try:
            previous, following = await self._run(answers.neighbours, self._warm, found["id"], given)
        except UsageError:
            previous = following = None
        is_fragment = request.headers.get("x-fragment") == "picture"
        answer = self._html(
            request,
            "picture.html" if is_fragment else "image.html",
            image=found,
            params=given,
            previous=previous,
            next=following,
            back=url("/", **given),
            map_svg=self._map(found),
        )
        answer.headers["Vary"] = "X-Fragment, Accept-Language"
        return answer

    def _map(self, image: dict[str, Any]) -> str:
        if image["latitude"] is None or image["longitude"] is None:
            return ""
        return Markup(world_map.map_of(image["latitude"], image["longitude"], self._static_url("world.svg")))  # noqa: S704

    async def status(self, request: Request) -> Response:
        state = await self._run(status, self._warm, self._thumbnails.folder)
        plots = charts.status_charts(state, _language(request))
        marked = {name: Markup(svg) for name, svg in plots.items()}  # noqa: S704 - charts escapes its labels
        return self._html(request, "status.html", status=state, charts=marked)

    def _html(self, request: Request, template: str, status_code: int = 200, **values: Any) -> Response:
        t = _language(request)
        text = self._templates.get_template(template).render(t=t, lang=t.lang, **values)
        return HTMLResponse(text.encode("utf-8", "replace"), status_code, {"Vary": "Accept-Language"})

    # JSON

    async def api_search(self, request: Request) -> Response:
        given = parameters.read(request.query_params)
        offset, limit = parameters.page_of(request.query_params)
        return _json(await self._run(answers.results, self._warm, given, offset, limit))

    async def api_facets(self, request: Request) -> Response:
        given = parameters.read(request.query_params)
        return _json(await self._run(answers.facets, self._warm, given, _language(request).lang))

    async def api_image(self, request: Request) -> Response:
        return _json(await self._known_image(request, parameters.read(request.query_params)))

    async def _known_image(self, request: Request, given: parameters.Parameters) -> dict[str, Any]:
        found = await self._run(answers.image, self._warm, _id(request), given)
        if found is None:
            raise HTTPException(404)
        return found | {"can_open_folder": self._address.is_local, "csrf": self._csrf}

    async def api_status(self, _: Request) -> Response:
        return _json(await self._run(status, self._warm, self._thumbnails.folder))

    # Pictures

    async def thumb(self, request: Request) -> Response:
        size = request.query_params.get("size", str(SIZES[0]))
        if size not in map(str, SIZES):
            raise HTTPException(400)
        return await self._jpeg(request, int(size))

    async def picture(self, request: Request) -> Response:
        return await self._jpeg(request, _LARGE)

    async def _jpeg(self, request: Request, size: int) -> Response:
        file = await self._file(request)
        tag = f'"{(file.content_hash or file.mtime_ns)}-{size}"'
        headers = {"ETag": tag, "Cache-Control": _FOR_EVER if "v" in request.query_params else "private, no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)

        async def is_wanted() -> bool:
            return not await request.is_disconnected()

        try:
            jpeg = await self._thumbnails.jpeg(file, size, is_wanted)
        except ImageError:  # the picture's own page says why
            broken = self._statics["broken.svg"]
            return Response(broken.content, 404, {"Cache-Control": "no-store"}, broken.type)
        return Response(jpeg or b"", headers=headers, media_type="image/jpeg")

    async def original(self, request: Request) -> Response:
        file = await self._file(request)
        try:
            path = await self._run(locate, self._warm, file)
        except ImageError:
            raise HTTPException(404) from None
        shown_as = _SHOWN_FORMATS.get(file.format or "")
        name = os.path.basename(file.path).decode("utf-8", "replace")
        return FileResponse(
            os.fsdecode(path),
            media_type=shown_as or "application/octet-stream",
            filename=name,
            content_disposition_type="inline" if shown_as else "attachment",
            headers={"Cache-Control": "private, no-cache"},
        )

    async def _file(self, request: Request) -> PictureFile:
        file = await self._run(_picture_file, self._warm, _id(request))
        if file is None:
            raise HTTPException(404)
        return file

    # Changes

    async def describe_again(self, request: Request) -> Response:
        await self._check_form(request)
        if not await self._run(_queue, self._warm, _id(request)):
            raise HTTPException(404)
        return _done(request, "?queued=1")

    async def open_folder(self, request: Request) -> Response:
        await self._check_form(request)
        if not self._address.is_local:
            raise HTTPException(403)  # the window would open at somebody else's desk
        file = await self._file(request)
        await self._run(viewer.open_folder, await self._run(locate, self._warm, file))
        return _done(request)

    async def _check_form(self, request: Request) -> None:
        """Only our own pages know the token of their forms."""
        form = parse_qs(await request.body(), max_num_fields=10)  # guard has refused what is long
        if not hmac.compare_digest(b"".join(form.get(b"csrf", ())), self._csrf.encode()):
            raise HTTPException(403)

    # What the page is made of

    async def static(self, request: Request) -> Response:
        file = self._statics.get(request.path_params["name"])
        if file is None:
            raise HTTPException(404)
        headers = {"ETag": file.tag, "Cache-Control": _FOR_EVER if "v" in request.query_params else "no-cache"}
        if request.headers.get("if-none-match") == file.tag:
            return Response(status_code=304, headers=headers)
        return Response(file.content, headers=headers, media_type=file.type)

    async def favicon(self, _: Request) -> Response:
        return RedirectResponse(self._static_url("icon.svg"), 301)

    def _static_url(self, name: str) -> str:
        return f"/static/{name}?v={self._statics[name].tag[1:11]}"

    # Errors

    async def failed(self, request: Request, error: Exception) -> Response:
        code = 400 if isinstance(error, UsageError) else 503
        return self._error(request, code, str(error))

    async def refused(self, request: Request, error: Exception) -> Response:
        code = error.status_code if isinstance(error, HTTPException) else 500
        return self._error(request, code, "")

    async def left(self, _: Request, __: Exception) -> Response:
        return Response(status_code=499)  # nobody hears it

    async def broken(self, request: Request, error: Exception) -> Response:
        """A bug: the traceback goes to stderr, the reader gets a line."""
        return self._error(request, 500, f"{type(error).__name__}")

    def _error(self, request: Request, code: int, message: str) -> Response:
        if request.url.path.startswith("/api/") or _wants_json(request):
            return _json({"error": message or str(code)}, code)
        return self._html(request, "error.html", code, code=code, message=message)


class _Static:
    """A file of static/, read once."""

    def __init__(self, file: Path) -> None:
        self.content = file.read_bytes()
        self.type = _TYPES[file.suffix]
        self.tag = f'"{hashlib.sha256(self.content).hexdigest()[:16]}"'


def locate(warm: WarmCatalog, file: PictureFile) -> bytes:
    """Where to read a picture. Raises ImageError when its file leads out of the folders that were indexed, or is not there."""
    with warm.catalog() as catalog:
        roots = catalog.roots()
    return check_lies_under(file.path, roots)


def _picture_file(warm: WarmCatalog, image_id: int) -> PictureFile | None:
    with warm.catalog() as catalog:
        return CatalogViews(catalog).picture_file(image_id)


def _queue(warm: WarmCatalog, image_id: int) -> int:
    with warm.writable() as catalog:
        return CatalogViews(catalog).queue_description(image_id)


def _id(request: Request) -> int:
    """The row id of the path; one that is larger than SQLite's is none."""
    image_id: int = request.path_params["id"]
    if image_id >= 1 << 63:
        raise HTTPException(404)
    return image_id


def _language(request: Request) -> Messages:
    return messages(choose_language(request.headers.get("accept-language", "")))


def _json(value: Any, code: int = 200) -> Response:
    return JSONResponse(value, code)


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def _done(request: Request, query: str = "") -> Response:
    if _wants_json(request):
        return _json({}, 202)
    return RedirectResponse(f"/image/{_id(request)}{query}", 303)
