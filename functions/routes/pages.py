"""The console's and the portal's pages. They hold no data: they read it from the API."""

from pathlib import Path

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from shared.domain.errors import NotFoundError

WEB = Path(__file__).parents[2] / "web"
CONTENT_TYPES = {".css": "text/css", ".js": "text/javascript", ".html": "text/html"}
# What pages load by name; the pages themselves have addresses of their own.
SCRIPTS = (
    *("page", "customer", "events", "conversion", "rewards", "console", "portal", "usage"),
    *("catalogue", "changes", "exact", "headcount", "margin", "ledger", "owed", "replay", "report"),
)
FILES = frozenset(("page.css", *(f"{name}.js" for name in SCRIPTS)))
# Everything comes from here, nothing is inline, and no other site may frame or be asked.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

router = Router()


@router.route("GET", "/", scope=None, summary="To the console", content_type="text/html")
def go_to_console(request: Request, runtime: Runtime) -> Answer:
    return Answer(status=302, content_type="text/html", headers={"Location": "/console"})


@router.route("GET", "/console", scope=None, summary="For operators", content_type="text/html")
def show_console(request: Request, runtime: Runtime) -> Answer:
    return _file("console.html")


@router.route("GET", "/portal", scope=None, summary="For a customer", content_type="text/html")
def show_portal(request: Request, runtime: Runtime) -> Answer:
    return _file("portal.html")


@router.route(
    "GET",
    "/web/{file}",
    scope=None,
    summary="A style or script of the pages",
    content_type="text/javascript",
)
def read_file(request: Request, runtime: Runtime) -> Answer:
    name = request.parameters["file"]
    if name not in FILES:
        raise NotFoundError("No such file.")
    return _file(name)


def _file(name: str) -> Answer:
    file = WEB / name
    content_type = f"{CONTENT_TYPES[file.suffix]}; charset=utf-8"
    return Answer(file.read_text("utf-8"), content_type=content_type, headers=SECURITY_HEADERS)
