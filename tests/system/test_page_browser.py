"""The page of a running gateway: in a browser, where one is installed, and for clients that mean no good."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from page_world import HOSTILE
from system_browser import PROGRAM, Browser
from system_clients import Http1
from system_gateway import Gateway
from system_manifests import gateway, https, listener, policy, route, rule, secret, service, target

PORT = 8080
#: Where pictures for the documentation go, if anywhere.
PICTURES = os.environ.get("TEST_PICTURES", "")
#: Seconds for an answer.
LIMIT = 60.0


@pytest.fixture(scope="module")
def running(start: Any, backend: Any, authority: Any) -> Gateway:
    """A shop: canary, a route that gets nothing, one without backend, a hostile one, policies, certificates."""
    good, soon, old = (authority.sign(f"{name}.test", days=days) for name, days in (("a", 90), ("b", 9), ("c", -3)))
    hostile = [{"path": {"type": "PathPrefix", "value": "/h"}, "headers": [{"name": "x", "value": HOSTILE}]}]
    gateways = [
        gateway(
            listener(),
            *(
                https(name, secret=name, hostname=f"{host}.test")
                for name, host in zip(("good", "soon", "old"), "abc", strict=True)
            ),
        )
    ]
    routes = [
        route(rule("/", "cart"), rule("/admin", "cart", name="admin"), name="cart", hostnames=["shop.test"]),
        route(rule("/admin", "cart"), name="unlucky", hostnames=["shop.test"]),
        route(rule("/", "payments"), name="payments", hostnames=["pay.test"]),
        route(rule(matches=hostile), name="hostile", hostnames=["hostile.test"]),
        *(
            route(rule("/", "cart"), name=f"app-{number:03}", hostnames=[f"app-{number:03}.test"])
            for number in range(80)
        ),
    ]
    deny = {"default": "Allow", "rules": [{"name": "blocked", "action": "Deny", "clients": ["203.0.113.0/24"]}]}
    policies = [policy("AccessPolicy", "everybody", target("Gateway", "gateway"), authorization=deny)]
    pairs = [
        secret(name, pair.certificate, pair.key)
        for name, pair in zip(("good", "soon", "old"), (good, soon, old), strict=True)
    ]
    found: Gateway = start(*gateways, *routes, *policies, *pairs, *service("cart", backend("cart").address))
    return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if PROGRAM is None:
        pytest.skip("there is no browser: install chromium")
    found = Browser(tmp_path_factory.mktemp("browser"))
    yield found
    found.close()


def opened(browser: Browser, running: Gateway, path: str) -> Browser:
    browser.complaints.clear()
    browser.open(f"http://{running.address}:19000{path}")
    return browser


def rows(page: Browser) -> int:
    return int(page.run("document.querySelectorAll('#found tbody tr').length"))


def test_keys_and_search(browser: Browser, running: Gateway) -> None:
    """A list follows what is typed, and the address says what is shown."""
    page = opened(browser, running, "/routes")
    assert rows(page) == 50
    page.press("/")
    page.write("app-077")
    page.wait("document.querySelectorAll('#found tbody tr').length === 1")
    assert page.run("location.search") == "?search=app-077"
    page.press("Escape")
    page.wait("document.querySelectorAll('#found tbody tr').length === 50")
    assert page.run("location.search") == ""
    page.press("Tab")
    assert page.run("document.activeElement.name") == "only"
    page.run("document.querySelector('nav a[href=\"/certificates\"]').focus()")
    page.press("Enter")
    page.wait("location.pathname === '/certificates' && document.readyState === 'complete'")
    assert rows(page) == 3
    assert page.complaints == []


def test_a_link_is_what_was_seen(browser: Browser, running: Gateway) -> None:
    page = opened(browser, running, "/routes?search=pay&only=wrong&sort=-object")
    assert rows(page) == 1
    assert page.run("document.querySelector('input[type=search]').value") == "pay"
    assert page.run("document.querySelector('input[type=checkbox]').checked") is True
    assert "payments" in page.run("document.querySelector('#found tbody').textContent")


def test_a_list_and_a_route_s_own_page_say_the_same(browser: Browser, running: Gateway) -> None:
    """Of one that is accepted and gets nothing; of one that gets all; of one without its backend."""
    text = "document.querySelector('main').textContent"
    for name, status in (("unlucky", "! accepted, but"), ("cart", "✓ accepted"), ("payments", "✗ not as wanted")):
        assert status in opened(browser, running, f"/routes?search={name}").run(text), name
        found = opened(browser, running, f"/route?name=HTTPRoute/default/{name}").run(text)
        assert status in found, name
        assert ("Why not" in found) == (name == "payments")
        assert ("gets nothing" in found) == (name == "unlucky")


def test_everything_has_a_name(browser: Browser, running: Gateway) -> None:
    """As a screen reader has it, in every section."""
    for path in ("/", "/gateways", "/routes", "/matches", "/explain", "/policies", "/backends", "/certificates"):
        found = opened(browser, running, path).controls()
        operated = ("link", "searchbox", "textbox", "checkbox", "button")
        assert all(name for role in operated for name in found.get(role, [])), path
        assert "Sections" in found["navigation"], path
        assert len(found["heading"]) >= 1, path
        assert found["main"] == [""], path


def test_figures_are_live(browser: Browser, running: Gateway) -> None:
    """Of what happens while the page is open, at the row of its route."""
    page = opened(browser, running, "/routes?search=cart&sort=object")
    page.wait("document.querySelector('#live').textContent === 'live'")
    client = Http1(running.address, PORT)
    for _ in range(20):
        assert client.request("GET", "shop.test", "/").status == 200
    client.close()
    rate = "document.querySelector('[data-route=\"HTTPRoute/default/cart\"] [data-figure=rate]').textContent"
    page.wait(f"parseFloat({rate}) > 0")
    assert page.complaints == []


def test_hostile_objects_run_nothing(browser: Browser, running: Gateway) -> None:
    for path in ("/route?name=HTTPRoute/default/hostile", "/matches?search=hostile", "/routes?search=hostile"):
        page = opened(browser, running, path)
        assert page.run("window.hit ?? 0") == 0
        assert page.run("document.querySelectorAll('img').length") == 0
        assert page.run("document.querySelectorAll('script').length") == 1
    page.run("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hit = 1'}))")
    assert page.run("window.hit ?? 0") == 0
    assert any("Content Security Policy" in text for text in page.complaints)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_schemes(browser: Browser, running: Gateway, scheme: str) -> None:
    browser.prefer(scheme)
    explained = "/explain?request=GET+http%3A%2F%2Fshop.test%3A8080%2Fadmin&from=203.0.113.9"
    backgrounds = set()
    for name, path in (
        ("routes", "/routes?sort=good"),
        ("matches", "/matches?hostname=shop.test&mine=HTTPRoute/default/unlucky"),
        ("explain", explained),
        ("certificates", "/certificates"),
    ):
        page = opened(browser, running, path)
        backgrounds.add(page.run("getComputedStyle(document.body).backgroundColor"))
        picture = page.picture(1180, 760)
        assert picture.startswith(b"\x89PNG")
        if PICTURES:
            (Path(PICTURES) / f"page-{name}-{scheme}.png").write_bytes(picture)
    assert backgrounds == {{"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 29)"}[scheme]}


# --- Clients that mean no good ------------------------------------------------------------------------------------


def answer(running: Gateway, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(running.address, 19000, timeout=LIMIT)
    connection.request(method, path, headers=headers)
    found = connection.getresponse()
    try:
        return found.status, found.read()
    finally:
        connection.close()


def test_it_is_read_only_and_for_this_machine(running: Gateway) -> None:
    assert answer(running, "/api/v1", "POST")[0] == 405
    assert answer(running, "/api/v1", "HEAD") == (200, b"")
    assert answer(running, "/metrics", "HEAD") == (200, b"")
    assert answer(running, "/", Host="rebound.example.com")[0] == 403
    assert answer(running, "/config", Host="rebound.example.com")[0] == 403
    assert answer(running, "/api/v1", Host="localhost:19000")[0] == 200
    assert json.loads(answer(running, "/api/v1")[1])["role"] == "serve"


def test_a_client_that_never_reads_and_a_hundred_opens(running: Gateway) -> None:
    """They cost what is bounded: probes go on, and each that reads has its answer, or is told to come again."""
    head = b"GET /api/v1/routes?limit=1000 HTTP/1.1\r\nhost: localhost\r\n\r\n"
    with contextlib.ExitStack() as stack:
        place = (running.address, 19000)
        never = stack.enter_context(socket.create_connection(place, LIMIT))
        never.sendall(head)
        opens = [stack.enter_context(socket.create_connection(place, LIMIT)) for _ in range(100)]
        for each in opens:
            each.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert answer(running, "/healthz") == (200, b"ok\n")
        assert answer(running, "/readyz")[0] == 200
        statuses = {each.makefile("rb").readline().split()[1] for each in opens}
        assert b"200" in statuses
        assert statuses <= {b"200", b"503"}
    assert answer(running, "/")[0] == 200
