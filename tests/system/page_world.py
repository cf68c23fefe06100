"""What a page shows, without a process: manifests translated, and asked as the listener asks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from system_manifests import Manifest, dump

from sluicegate.cli.page.site import Site
from sluicegate.observe.answering import Answer, Asked
from sluicegate.observe.figures import read_figures
from sluicegate.processes.viewed import ServingPod, Viewed, Views
from sluicegate.testing.offline import load_offline

#: What would run if it were taken for anything but text.
HOSTILE = "<img src=x onerror='window.hit=1'></script><script>window.hit=1</script>"
#: Of its metrics, as the engine writes them.
METRICS = """\
sluicegate_connections_active 3
sluicegate_connections_total 12
sluicegate_http_requests_total{version="1"} 30
sluicegate_http_requests_total{version="2"} 12
sluicegate_errors_total{code="no_route"} 4
sluicegate_errors_total{code="no_endpoint"} 0
sluicegate_requests_total{listener="Gateway/default/gateway/http",route="HTTPRoute/default/shop",class="2xx"} 90
sluicegate_requests_total{listener="Gateway/default/gateway/http",route="HTTPRoute/default/shop",class="5xx"} 10
sluicegate_requests_total{listener="Gateway/default/gateway/https",route="HTTPRoute/default/shop",class="2xx"} 100
sluicegate_request_duration_seconds_bucket{listener="a",route="HTTPRoute/default/shop",le="0.001"} 100
sluicegate_request_duration_seconds_bucket{listener="a",route="HTTPRoute/default/shop",le="0.01"} 200
sluicegate_request_duration_seconds_bucket{listener="a",route="HTTPRoute/default/shop",le="+Inf"} 200
sluicegate_l4_connections_total{listener="b",route="TCPRoute/default/database"} 7
sluicegate_l4_connections_active{listener="b",route="TCPRoute/default/database"} 2
"""


def viewed(folder: Path, *objects: Manifest, text: str = "", **rest: Any) -> Viewed:
    """What a process shows of some manifests."""
    (folder / "all.yaml").write_text(text or dump(*objects))
    offline = load_offline([str(folder)])
    pods = (ServingPod("", "", "current", 1),)
    given: dict[str, Any] = {"role": "serve", "pods": pods, "generation": 1, "changed": time.time(), **rest}
    return Viewed(
        version="1.2.3",
        translation=offline.translation,
        diagnostics=tuple(offline.diagnostics()),
        documents=offline.documents,
        with_lines=offline.source.with_lines,
        ingresses=offline.ingresses,
        **given,
    )


class Page:
    """A page, and whoever looks at it."""

    def __init__(self, shown: Viewed | None, metrics: Callable[[], str] | None = lambda: METRICS) -> None:
        self.shown = shown
        figures = None if metrics is None else lambda wanted: read_figures(metrics(), wanted)
        self._site = Site(Views(lambda: self.shown, figures))

    def ask(self, path: str, /, *fields: tuple[str, str], **query: str | int) -> Answer:
        written = urlencode([*fields, *query.items()])
        return self._site(Asked("GET", path, written, "localhost", "127.0.0.1"))

    def html(self, path: str, /, *fields: tuple[str, str], **query: str | int) -> str:
        answer = self.ask(path, *fields, **query)
        assert answer.status == 200, answer.body
        return answer.body.decode()

    def json(self, name: str, /, *fields: tuple[str, str], **query: str | int) -> dict[str, Any]:
        answer = self.ask(f"/api/v1/{name}" if name else "/api/v1", *fields, **query)
        assert (answer.status, answer.kind) == (200, "application/json"), answer.body
        found: dict[str, Any] = json.loads(answer.body)
        return found
