"""What answers for the page: its sections, its two files, its API."""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib import resources

from sluicegate.observe.answering import Answer, Asked, text
from sluicegate.processes.viewed import Views

from . import sections, single
from .api import Api, overview
from .html import Child, tag
from .moment import Moment, current
from .sections import Look
from .shell import SECTIONS, document

_API = "/api/v1"
#: What a browser may do with the page: load its own two files, ask its own API, send its own forms. Nothing else.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_FILES = {"/page.css": "text/css; charset=utf-8", "/page.js": "text/javascript; charset=utf-8"}
_MADE: dict[str, Callable[[Look], Child]] = {
    "/": sections.overview,
    "/gateways": sections.gateways,
    "/routes": sections.routes,
    "/route": single.route,
    "/matches": sections.matches_section,
    "/explain": single.explain,
    "/policies": sections.policies,
    "/backends": sections.backends_section,
    "/certificates": sections.certificates,
    "/problems": sections.problems,
    "/generations": sections.generations_section,
}


class Site:
    """Answers one question at a time, on one thread."""

    def __init__(self, views: Views) -> None:
        """Look at nothing yet."""
        self._views = views
        self._api = Api(views.figures)
        self._moment: Moment | None = None

    def __call__(self, asked: Asked) -> Answer:
        """Answer a question."""
        if asked.path in _FILES:
            return Answer(200, _FILES[asked.path], _file(asked.path[1:]))
        viewed = self._views.look()
        if viewed is None:
            return text(503, "nothing was read and translated yet", ("retry-after", "1"))
        self._moment = moment = current(viewed, self._moment)
        try:
            fields = asked.fields()
        except ValueError as error:
            return text(400, f"the query: {error}")
        if asked.path == _API or asked.path.startswith(f"{_API}/"):
            return self._api.answer(asked.path.removeprefix(_API).strip("/"), fields, moment)
        if asked.path not in _MADE:
            return text(
                404,
                f"here are {', '.join(SECTIONS)}, {_API}, /healthz, /readyz, /metrics and, where it serves, /config",
            )
        found = overview(moment, live=self._views.figures is not None)
        look = Look(moment, found, self._api.figures, dict(fields), fields)
        return _page(asked.path, look)


def _page(path: str, look: Look) -> Answer:
    title = SECTIONS[path][0] if path in SECTIONS else look.given.get("name", "Route")
    status = 200
    try:
        content: Child = _MADE[path](look)
    except LookupError as error:
        status, content = 404, tag("p", str(error), class_="bad")
    except ValueError as error:
        status, content = 400, tag("p", str(error), class_="bad")
    written = document(path if path in SECTIONS else "/routes", title, look.overview, content)
    return Answer(status, "text/html; charset=utf-8", written, (("content-security-policy", POLICY),))


@functools.cache
def _file(name: str) -> bytes:
    return resources.files(__package__).joinpath("assets", name).read_bytes()
