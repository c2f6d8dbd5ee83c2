"""The page itself: its files, and who may have them."""

from __future__ import annotations

import hashlib
import html
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from yololstm.web.refusing import Refusal

_FOLDER: Final = Path(__file__).parent / "static"
PUBLIC: Final = ("/login", "/static/base.css", "/static/login.js", "/static/icon.svg")
"""What it takes to log in."""
_JSON: Final = "application/json"
_MEDIA: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def router(document: Callable[[], dict[str, Any]]) -> APIRouter:
    """document: the API's."""
    routes = APIRouter(include_in_schema=False)
    files = {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _MEDIA}

    def sent(request: Request, name: str) -> Response:
        if name not in files:
            raise Refusal(404, "file", "there is none", "Go to /")
        tag = f'"{hashlib.sha256(files[name]).hexdigest()[:32]}"'
        headers = {"Cache-Control": "no-cache", "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(files[name], media_type=_MEDIA[Path(name).suffix], headers=headers)

    @routes.get("/")
    async def page(request: Request) -> Response:
        return sent(request, "index.html")

    @routes.get("/login")
    async def login(request: Request) -> Response:
        return sent(request, "login.html")

    @routes.get("/static/{name}")
    async def file(request: Request, name: str) -> Response:
        return sent(request, name)

    @routes.get("/api/docs")
    async def docs() -> HTMLResponse:
        return HTMLResponse("".join(_listed(document())))

    @routes.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    return routes


def _listed(document: dict[str, Any]) -> Iterator[str]:
    """The API's operations, as a page that needs nothing but the style."""
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>yololstm API</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<link rel="icon" href="/static/icon.svg"><link rel="stylesheet" href="/static/base.css">'
    yield '</head><body><main class="document"><h1>API</h1><p>Its document is '
    yield '<a href="/api/openapi.json">openapi.json</a>. Programs send <code>Authorization: Bearer'
    yield "</code> with the site's token.</p>"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield f"<section><h2><code>{method.upper()} {html.escape(path)}</code></h2>"
            yield f"<p>{html.escape(operation.get('description', ''))}</p>"
            if parameters := operation.get("parameters"):
                yield f"<ul>{''.join(map(_parameter, parameters))}</ul>"
            yield from _content("Send", operation.get("requestBody", {}), document)
            yield from _content("Comes back", operation["responses"].get("200", {}), document)
            yield "</section>"
    yield "</main></body></html>"


def _content(words: str, said: dict[str, Any], document: dict[str, Any]) -> Iterator[str]:
    for media_type, content in said.get("content", {}).items():
        shape = json.dumps(_shape(content.get("schema", {}), document), ensure_ascii=False)
        yield f"<p>{words} <code>{html.escape(media_type)}</code>"
        yield f": <code>{html.escape(shape)}</code></p>" if media_type == _JSON else "</p>"


def _shape(schema: dict[str, Any], document: dict[str, Any]) -> Any:
    """What it looks like: values are named by their kind, or by the only ones there are."""
    if "example" in schema:
        return schema["example"]
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _shape(document["components"]["schemas"][name], document)
    if "enum" in schema:
        return " or ".join(str(value) or "nothing" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(str(_shape(part, document)) for part in schema["anyOf"])
    if schema.get("type") == "array":
        parts = schema.get("prefixItems") or [schema.get("items", {})]
        return [_shape(part, document) for part in parts]
    if "properties" in schema:
        return {name: _shape(part, document) for name, part in schema["properties"].items()}
    return schema.get("format") or schema.get("type") or "anything"


def _parameter(parameter: dict[str, Any]) -> str:
    schema = parameter["schema"]
    kind = schema.get("format") or schema.get("type") or ""
    if "enum" in schema:
        kind = " or ".join(value for value in schema["enum"] if value)
    name = html.escape(parameter["name"])
    return f"<li><code>{name}</code> {html.escape(kind)}, in the {parameter['in']}</li>"
