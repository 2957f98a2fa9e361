"""The web application: a page for people, an endpoint for programs. The only door to FastAPI."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import fastapi
from fastapi.responses import HTMLResponse, JSONResponse

from mlob import machine
from mlob.reports.templating import template
from mlob.runs.labeller import Labeller
from mlob.serving.answers import Photos, State, answerer
from mlob.serving.waiting import Full, Line

# What the page may load: itself alone, and the photos that were dropped on it.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
TEMPLATES = "mlob.serving"


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the server takes.

    Attributes:
        bytes: of one request; what comes after them is not read.
        photos: in one request.
        waiting: photos of all requests; who comes later is told when to try again.
    """

    bytes: int = 64_000_000
    photos: int = 64
    waiting: int = 256


def create(labeller: Labeller, name: str, limits: Limits = Limits()) -> fastapi.FastAPI:
    """Make the application.

    Args:
        labeller: the ensemble.
        name: of the suite, for people.
        limits: of what is sent.
    """
    line = Line[bytes, dict](answerer(labeller), limits.waiting)

    @contextlib.asynccontextmanager
    async def lifespan(app: fastapi.FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(line.close)

    app = fastapi.FastAPI(
        title="mlob",
        description=f"Labels of photos, by the ensemble of {name}.",
        version=machine.version(),
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        max_body_size=limits.bytes,
        form_limits={"max_files": limits.photos},
    )
    _add_endpoints(app, line, labeller, name)
    _add_pages(app, labeller, name, limits)
    _add_refusals(app)
    return app


def _add_endpoints(app: fastapi.FastAPI, line: Line[bytes, dict], labeller: Labeller, name: str) -> None:
    @app.post("/label", response_model=Photos, responses={code: {} for code in (400, 413, 503)})
    async def label(files: list[fastapi.UploadFile]) -> Any:
        """Label photos: send them as files of a form, each under the name "files".

        Photos that cannot be read have a failure in their answer. Where too many wait, the status is 503, and
        Retry-After says in how many seconds to try again.
        """
        contents = [await file.read() for file in files]
        answers = await asyncio.gather(*map(asyncio.wrap_future, line.join(contents)))
        named = [{"photo": file.filename or "", **answer} for file, answer in zip(files, answers, strict=True)]
        return JSONResponse({"photos": named})  # as it is: checking it against `Photos` takes as long as making it

    @app.get("/health")
    async def health() -> State:
        """Tell that the server is there."""
        return State(status="ok", suite=name, labels=len(labeller.labels), waiting=len(line))


def _add_pages(app: fastapi.FastAPI, labeller: Labeller, name: str, limits: Limits) -> None:
    facts = {"suite": name, "labels": labeller.labels, "limits": limits}
    page = template("label.html", TEMPLATES).render(**facts, groups=[*dict.fromkeys(labeller.labels.groups)])

    def shown(html: str) -> HTMLResponse:
        return HTMLResponse(html, headers={"Content-Security-Policy": POLICY})

    @app.get("/", include_in_schema=False)
    async def index() -> HTMLResponse:
        return shown(page)

    @app.get("/docs", include_in_schema=False)
    async def docs(request: fastapi.Request) -> HTMLResponse:
        address = str(request.base_url).rstrip("/")
        return shown(template("docs.html", TEMPLATES).render(**facts, api=app.openapi(), types=_types, address=address))


def _types(schema: dict[str, Any]) -> str:
    """Name the types that a field of the OpenAPI schema may have."""
    if "anyOf" in schema:
        return " or ".join(map(_types, schema["anyOf"]))
    if "$ref" in schema:
        return schema["$ref"].rpartition("/")[2]
    return f"array of {_types(schema['items'])}" if schema["type"] == "array" else schema["type"]


def _add_refusals(app: fastapi.FastAPI) -> None:
    @app.exception_handler(Full)
    async def full(request: fastapi.Request, error: Full) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 503, headers={"Retry-After": str(error.seconds)})

    @app.exception_handler(Exception)
    async def failed(request: fastapi.Request, error: Exception) -> JSONResponse:
        told = f"The photos could not be labelled ({type(error).__name__}); the server's log says why."
        return JSONResponse({"detail": told}, 500)
