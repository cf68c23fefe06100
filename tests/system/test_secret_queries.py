"""Where credentials in queries stand afterwards: in no line of the access log, and nowhere else, whoever answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from system_backends import Backend, echo, response
from system_clients import Http1
from system_gateway import Gateway, until
from system_manifests import by, gateway, http_filter, listener, opaque, policy, route, rule, service, target

KEY = "alpha-secret-key-0001"
QUERY = f"?key={KEY}&a=1"
ASKED, PAGED, SILENT = 8081, 8082, 8083
PREFLIGHT = (("origin", "https://a.test"), ("access-control-request-method", "PUT"))


class World:
    """A gateway whose routes want a key in the query, and what it logs."""

    def __init__(self, start: Any, folder: Path) -> None:
        self.pages = Backend(echo("page"))
        self._app, self._service = Backend(echo("app")), Backend(lambda _: response(b"no", "403 Forbidden"))
        asks = {
            "type": "ExternalAuth",
            "externalAuth": {"protocol": "HTTP", "backendRef": {"name": "service", "port": 80}, "http": {}},
        }
        cors = {"type": "CORS", "cors": {"allowOrigins": ["https://a.test"]}}
        moved = {"type": "RequestRedirect", "requestRedirect": {"hostname": "other.test"}}
        pages = http_filter("pages", errorPages=[{"statuses": ["4xx"], "backendRef": {"name": "pages", "port": 80}}])
        self._log = folder / "log"
        self.gateway: Gateway = start(
            gateway(
                listener(),
                listener("asked", ASKED, filters={"requests": [asks]}),
                listener("paged", PAGED, filters={"requests": by("pages")}),
                listener("silent", SILENT),
            ),
            pages,
            route(
                rule("/cors", "app", filters=[cors]),
                rule("/gone", {"name": "nobody", "port": 80}),
                rule("/bad", "app", filters=by("missing")),
                rule("/move", filters=[moved]),
                rule("/api", "app"),
            ),
            policy(
                "AccessPolicy",
                "keys",
                target("HTTPRoute", "route"),
                apiKey={"secretRefs": [{"name": "keys"}], "from": [{"query": "key"}]},
            ),
            policy(
                "ClientPolicy",
                "silent",
                target("Gateway", "gateway", "silent"),
                accessLog={"mode": "Disabled"},
                clientAddress={"trustedProxies": ["127.0.0.0/8"]},
            ),
            opaque("keys", ann=KEY),
            *(
                part
                for name, backend in (("app", self._app), ("service", self._service), ("pages", self.pages))
                for part in service(name, backend.address)
            ),
            arguments=("--access-log", str(self._log)),
        )

    def line(self, do: Any) -> dict[str, Any]:
        """What is logged of what is done, which is one request."""
        before = len(self.lines())
        do()
        until(lambda: len(self.lines()) > before, "a line")
        return self.lines()[-1]

    def lines(self) -> list[dict[str, Any]]:
        """All lines that are whole."""
        text = self._log.read_text() if self._log.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def ask(self, method: str, target_: str, fields: Any = (), port: int = 8080) -> int:
        """The status of an answer."""
        client = Http1(self.gateway.address, port)
        try:
            return int(client.request(method, "a.test", target_, fields).status)
        finally:
            client.close()

    def close(self) -> None:
        for backend in (self.pages, self._app, self._service):
            backend.close()


@pytest.fixture(scope="module")
def world(start: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    found = World(start, tmp_path_factory.mktemp("secret"))
    yield found
    found.close()


@pytest.mark.parametrize(
    ("method", "path", "fields", "port", "status"),
    [
        ("GET", "/api", (), 8080, 200),
        ("OPTIONS", "/cors", PREFLIGHT, 8080, 204),
        ("GET", "/bad", (), 8080, 500),
        ("GET", "/gone", (), 8080, 500),
        ("GET", "/move", (), 8080, 302),
        ("GET", "/api", (), ASKED, 403),
        ("GET", "/misspelt", (), 8080, 404),
        ("GET", "/misspelt", (), PAGED, 404),
        ("GET", "/api/..;/x", (), 8080, 400),
        ("GET", "/api", (("expect", "x"),), 8080, 417),
        ("GET", "/api", (("x-big", "x" * 70_000),), 8080, 431),
    ],
)
def test_no_line_has_it(world: World, method: str, path: str, fields: Any, port: int, status: int) -> None:
    statuses: list[int] = []
    line = world.line(lambda: statuses.append(world.ask(method, path + QUERY, fields, port)))
    assert (statuses, line["status"]) == ([status], status)
    assert KEY not in json.dumps(line)
    assert "key=***&a=1" in line["path"]


def test_nor_has_that_of_a_head_that_is_none(world: World) -> None:
    def send() -> None:
        client = Http1(world.gateway.address, 8080)
        client.send(f"GET /api{QUERY} HTTP/1.1\r\nhost: a.test\r\nhost: b.test\r\n\r\n".encode())
        assert client.read("GET").status == 400
        client.close()

    line = world.line(send)
    assert (KEY in json.dumps(line), line["path"]) == (False, "/api?key=***&a=1")


def test_nor_who_is_asked_for_a_page(world: World) -> None:
    world.ask("GET", "/misspelt" + QUERY, port=PAGED)
    told = {request.header("x-original-uri") for request in world.pages.requests}
    assert told == {"/misspelt?key=***&a=1"}


def test_preflights_and_invalid_rules_go_by_the_policy_of_clients(world: World) -> None:
    """No line where there is to be none, and else the client that its proxies name."""
    count = len(world.lines())
    assert world.ask("OPTIONS", "/cors", PREFLIGHT, SILENT) == 204
    assert world.ask("GET", "/bad", (), SILENT) == 500
    line = world.line(lambda: world.ask("GET", "/api" + QUERY))
    assert (len(world.lines()), line["path"]) == (count + 1, "/api?key=***&a=1")
