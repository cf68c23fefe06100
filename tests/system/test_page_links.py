"""Links of the page, followed by the keyboard in a browser: where each leads, and which row is selected there."""

from __future__ import annotations

import dataclasses
import http.server
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from page_world import Page, viewed
from system_browser import PROGRAM, Browser
from system_manifests import Manifest, gateway, https, listener, policy, route, rule, secret, service, target

from sluicegate.cli.page.site import Site
from sluicegate.observe.answering import Asked
from sluicegate.processes.viewed import ServingPod, Viewed, Views

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no browser: install chromium")
#: A name that ends an attribute, an element, a path, a query and a fragment, if it is taken for any.
HOSTILE = "a\"b'<i>c</i>#d%26e&f=g?h+i%"
POD = f"{HOSTILE}-7d2"
#: Pods as a controller has them.
PODS = (
    ServingPod("default/edge", "edge-7c9", "current", 3),
    ServingPod("default/edge", POD, "refused", 2, "it keeps what it had"),
)


@pytest.fixture(scope="module")
def shown(authority: Any, tmp_path_factory: pytest.TempPathFactory) -> Viewed:
    """Names that are part of others' names, more of them than a part of a list has, and hostile ones."""
    pair, sooner = authority.sign("a.test", days=90), authority.sign("b.test", days=30)
    allow = {"default": "Allow"}
    objects: list[Manifest] = [
        gateway(listener(), https("tls", secret="cert", hostname="a.test")),
        gateway(listener(), name=HOSTILE),
        route(rule("/", "shop"), name="shop", hostnames=["shop.test"]),
        route(rule("/", "nowhere"), name="broken", hostnames=["broken.test"]),
        route(rule("/", "shop"), name=HOSTILE, hostnames=["hostile.test"]),
        policy("AccessPolicy", "wide", target("Gateway", "gateway"), authorization=allow),
        policy("AccessPolicy", "part", target("Gateway", "gateway", "tls"), authorization=allow),
        policy("AccessPolicy", "narrow", target("HTTPRoute", "shop"), authorization=allow),
        policy("AccessPolicy", "astray", target("Gateway", HOSTILE), authorization=allow),
        policy("AccessPolicy", "nobody", target("Gateway", "gone"), authorization=allow),
        policy("AccessPolicy", HOSTILE, target("Gateway", "many"), authorization=allow),
        secret("cert", pair.certificate, pair.key),
        *service("shop", ("192.0.2.1", 8080)),
    ]
    names = [f"cert-{number}" for number in range(55)]
    objects += [secret(name, sooner.certificate, sooner.key) for name in names]
    objects.append(gateway(*(https(name, secret=name, hostname=f"{name}.test") for name in names), name="many"))
    found = viewed(tmp_path_factory.mktemp("linked"), *objects, pods=PODS, role="controller")
    about = msgspec.structs.replace(
        found.diagnostics[0], object="Gateway/default/gateway", message=f"pod {POD} refuses it"
    )
    return dataclasses.replace(found, diagnostics=(*found.diagnostics, about))


@pytest.fixture(scope="module")
def now(shown: Viewed) -> list[Viewed]:
    """What is so now."""
    return [shown]


@pytest.fixture(scope="module")
def served(now: list[Viewed]) -> Iterator[str]:
    """The page of it, at an address."""
    site, lock = Site(Views(lambda: now[0], None)), threading.Lock()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            with lock:
                answer = site(Asked("GET", asked.path, asked.query, "localhost", "127.0.0.1"))
            self.send_response(answer.status)
            for name, value in (("content-type", answer.kind), *answer.headers):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    found = Browser(tmp_path_factory.mktemp("browser"))
    yield found
    found.close()


GATEWAY, TLS = "Gateway/default/gateway", "Gateway/default/gateway/tls"
#: From a section, by a link with an accessible name, to a section and what is selected there; empty: a page of its own.
LINKS = [
    ("/gateways", "certificate default/cert", "/certificates", "default/cert"),
    ("/gateways", "AccessPolicy/default/wide/authorization", "/policies", "AccessPolicy/default/wide"),
    ("/certificates?search=default/cert", f"listener {TLS}", "/gateways", TLS),
    ("/route?name=HTTPRoute/default/shop", "backend default/shop:80", "/backends", "default/shop:80"),
    ("/route?name=HTTPRoute/default/shop", f"listener {GATEWAY}/http", "/gateways", f"{GATEWAY}/http"),
    ("/explain?request=http://shop.test:8080/", "backend default/shop:80", "/backends", "default/shop:80"),
    ("/explain?request=http://shop.test:8080/", f"listener {GATEWAY}/http", "/gateways", f"{GATEWAY}/http"),
    ("/matches", f"listener {GATEWAY}/http", "/gateways", f"{GATEWAY}/http"),
    ("/backends?search=default/shop:80", "HTTPRoute/default/shop", "/route", ""),
    ("/policies", "Gateway default/gateway", "/gateways", GATEWAY),
    ("/policies", "Gateway default/gateway/tls", "/gateways", TLS),
    ("/policies", "HTTPRoute default/shop", "/route", ""),
    ("/policies", f"Gateway default/{HOSTILE}", "/gateways", f"Gateway/default/{HOSTILE}"),
    ("/policies", f"AccessPolicy/default/{HOSTILE}", "/policies", f"AccessPolicy/default/{HOSTILE}"),
    ("/problems", "HTTPRoute/default/broken", "/route", ""),
    ("/problems", f"HTTPRoute/default/{HOSTILE}", "/route", ""),
    ("/problems", f"AccessPolicy/default/{HOSTILE}", "/policies", f"AccessPolicy/default/{HOSTILE}"),
    ("/problems", f"Gateway/default/{HOSTILE}", "/gateways", f"Gateway/default/{HOSTILE}"),
    ("/generations", f"one problem names {POD}", "/problems", ""),
    ("/", f"pod default/edge {POD}", "/generations", f"default/edge/{POD}"),
]
FOCUS = """[...document.querySelectorAll('main a')]
  .find((link) => (link.getAttribute('aria-label') ?? link.textContent) === NAME).focus()"""
SELECTED = "document.querySelector(':target')?.id ?? ''"
MARKED = """(() => { const row = document.querySelector(':target'), box = row.getBoundingClientRect();
  const part = row.tagName === 'SECTION' ? row.querySelector('h2') : row;
  return [getComputedStyle(part).backgroundColor, box.top < innerHeight && box.bottom > 0]; })()"""


@pytest.mark.parametrize(("start", "name", "section", "selected"), LINKS)
def test_a_link_leads_to_what_it_names(
    browser: Browser, served: str, start: str, name: str, section: str, selected: str
) -> None:
    browser.complaints.clear()
    browser.prefer("light")
    browser.open(served + start)
    assert name in browser.controls()["link"]
    browser.run(FOCUS.replace("NAME", msgspec.json.encode(name).decode()))
    browser.press("Enter")
    gone = f"(location.pathname !== '{urlsplit(start).path}' || location.hash)"
    browser.wait(f"{gone} && document.readyState === 'complete'")
    assert browser.run("location.pathname") == section
    assert browser.run(SELECTED) == selected
    if selected:
        assert browser.run(MARKED) == ["rgb(255, 243, 196)", True]
    assert browser.run("document.querySelectorAll('main i').length") == 0
    if section == "/route":
        assert "There is no route" not in browser.run("document.body.textContent")
    elif not selected:
        assert browser.run("document.querySelectorAll('#found tbody tr').length") > 0
    assert browser.complaints == []


def test_a_name_that_nothing_has_is_text(browser: Browser, served: str) -> None:
    browser.open(f"{served}/policies?search=nobody")
    assert "Gateway default/gone" in browser.run("document.querySelector('#found').textContent")
    assert "Gateway default/gone" not in browser.controls()["link"]


def test_keys_go_through_every_list(browser: Browser, served: str) -> None:
    """By the link that each row is found by."""
    for path in ("/gateways", "/policies", "/backends", "/certificates", "/problems"):
        browser.open(served + path)
        assert browser.run("document.querySelectorAll('#found a[data-first]').length") > 0, path


def test_a_row_stays_selected_when_the_page_follows_a_change(browser: Browser, served: str, now: list[Viewed]) -> None:
    browser.complaints.clear()
    browser.open(f"{served}/certificates#default/cert-30")
    browser.run("document.querySelector('#found').dataset.old = 'yes'")
    browser.wait("document.querySelector('#live').textContent !== ''")
    top = browser.run("scrollY")
    assert browser.run(SELECTED) == "default/cert-30"
    before, now[0] = now[0], dataclasses.replace(now[0], diagnostics=())
    try:
        browser.wait("document.querySelector('#found').dataset.old === undefined")
        assert browser.run(SELECTED) == "default/cert-30"
        assert browser.run("scrollY") == top
    finally:
        now[0] = before
    assert browser.complaints == []


def test_what_is_named_exactly_comes_first(shown: Viewed) -> None:
    """More others than a part of the list has, with the name in theirs, end before it."""
    found = Page(shown).json("certificates", search="default/cert", limit=1)
    assert found["total"] > 50
    assert [item["id"] for item in found["items"]] == ["default/cert"]
