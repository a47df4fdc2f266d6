"""The page at `/docs`: the OpenAPI document to click through, without anything from outside this process.

Swagger UI's files come with the package `fastapi-offline`; only they are used of it.
"""

from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import RedirectResponse

from headrace.errors import NotFound

router = APIRouter(include_in_schema=False)

_TYPES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
#: Swagger UI starts by a script in the page and draws its icons from `data:` addresses; all else is ours or nothing.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
)


@router.get("/")
async def front_door() -> Response:
    """Whoever opens the address that `headrace up` prints sees what there is."""
    return RedirectResponse("docs")


@router.get("/docs")
async def page() -> Response:
    """The page itself."""
    html = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Headrace",
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="data:,",
        swagger_ui_parameters={"validatorUrl": None},
    )
    html.headers["Content-Security-Policy"] = _POLICY
    return html


@router.get("/docs/{name}")
async def asset(name: str) -> Response:
    """A file that the page needs."""
    if name not in _TYPES:
        raise NotFound(f"the page /docs has no file '{name[:80]}'")
    return Response(_read(name), headers={"Cache-Control": "max-age=86400"}, media_type=_TYPES[name])


@cache
def _read(name: str) -> bytes:
    return (files("fastapi_offline") / "static" / name).read_bytes()
