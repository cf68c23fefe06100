"""The report of a migration in a browser, where one is installed: search, keys, hostile names, light and dark."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from system_browser import PROGRAM, Browser
from system_manifests import Manifest
from system_migration import PREFIX, ingress

from sluicegate.cli.application import main

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no browser: install chromium")

#: What would run if it were taken for anything but text.
HOSTILE = "<img src=x onerror='window.hit=1'></script><script>window.hit=1</script>"
MANY = 1000
#: Parts of their report: each host, and what is different for all of them.
PARTS = MANY + 1
#: Colours of what is written, each against the page: their contrast (WCAG 2.2, 1.4.3).
CONTRASTS = """(() => {
  const light = (text) => {
    const [red, green, blue] = text.match(/[0-9.]+/g).slice(0, 3).map((each) => {
      const part = each / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const page = light(getComputedStyle(document.body).backgroundColor);
  const found = {};
  for (const name of ["h1", "td p", ".remedy", ".place", ".count", "code", "th", ".badge"]) {
    for (const element of document.querySelectorAll(name)) {
      const own = light(getComputedStyle(element).color);
      const ratio = (Math.max(own, page) + 0.05) / (Math.min(own, page) + 0.05);
      found[name] = Math.min(found[name] ?? 99, ratio);
    }
  }
  return [page, found];
})()"""
SHOWN = "[...document.querySelectorAll('details')].filter((each) => !each.hidden).length"
FOUND = "document.querySelector('#found').textContent"
FOCUS = "document.activeElement.id || document.activeElement.value || document.activeElement.tagName"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    found = Browser(tmp_path_factory.mktemp("browser"))
    yield found
    found.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Callable[..., Browser]:
    """The report of some Ingresses, in the browser."""

    def show(*ingresses: Manifest) -> Browser:
        (tmp_path / "in.yaml").write_text(yaml.safe_dump_all(ingresses))
        written = io.StringIO()
        with contextlib.redirect_stdout(written):
            main(["migrate", "-o", "html", str(tmp_path / "in.yaml")])
        page = tmp_path / "report.html"
        page.write_text(written.getvalue())
        browser.complaints.clear()
        browser.open(page)
        return browser

    return show


def lossy(host: str, **annotations: str) -> Manifest:
    return ingress(host, ("/", "web"), proxy_read_timeout="5", **annotations)


def test_a_host_is_found(opened: Callable[..., Browser]) -> None:
    """Among many, by any of its words; each part opens that is found."""
    page = opened(*(lossy(f"app-{number}.test") for number in range(MANY)))
    assert page.run(SHOWN) == PARTS
    page.press("/")
    assert page.run(FOCUS) == "search"
    page.write("APP-77.test timeout")
    assert page.run(SHOWN) == 1
    assert page.run("document.querySelector('details:not([hidden])').open") is True
    assert page.run(FOUND) == f"1 found, in 1 of {PARTS:,} parts"
    page.press("Escape")
    assert (page.run(SHOWN), page.run(FOUND)) == (PARTS, "")
    page.write("nothing has this")
    assert (page.run(SHOWN), page.run(FOUND)) == (0, f"0 found, in 0 of {PARTS:,} parts")
    assert page.complaints == []


def test_keys_alone_are_enough(opened: Callable[..., Browser]) -> None:
    page = opened(lossy("one.test", limit_rate="5"), lossy("two.test"))
    page.press("/")
    seen = []
    while (focus := page.run(FOCUS)) != "SUMMARY":
        seen.append(focus)
        page.press("Tab")
        assert len(seen) < 10, seen
    assert seen[:3] == ["search", "converted-with-difference", "no-equivalent"]
    is_open = page.run("document.activeElement.parentElement.open")
    page.press("Enter")
    assert page.run("document.activeElement.parentElement.open") is not is_open
    # A fate that is not wanted takes its rows away, and the parts that have no others.
    assert page.run("document.querySelectorAll('tr[data-fate=no-equivalent]:not([hidden])').length") == 1
    page.run("document.querySelector('input[value=no-equivalent]').click()")
    assert page.run("document.querySelectorAll('tr[data-fate=no-equivalent]:not([hidden])').length") == 0
    assert page.complaints == []


def test_everything_has_a_name(opened: Callable[..., Browser]) -> None:
    controls = opened(lossy("one.test", limit_rate="5")).controls()
    assert controls["searchbox"] == ["Search"]
    assert any(name.startswith("Lost: there is nothing like it") for name in controls["checkbox"])
    assert any("What changes for one.test" in name for name in controls["DisclosureTriangle"])
    assert all(name for role in ("searchbox", "checkbox", "DisclosureTriangle") for name in controls[role])
    assert controls["columnheader"][:3] == ["What becomes of it", "Written", "Place"]


def test_hostile_names_are_text(opened: Callable[..., Browser]) -> None:
    item = lossy("shop.test", limit_rate=HOSTILE)
    item["metadata"]["annotations"][f"{PREFIX}{HOSTILE}"] = HOSTILE
    page = opened(item)
    page.press("/")
    page.write("onerror")
    assert page.run("window.hit ?? 0") == 0
    assert page.run("document.querySelectorAll('img, script').length") == 1
    assert HOSTILE in page.run("document.querySelector('tr[data-fate=no-equivalent] td:nth-child(2) code').textContent")
    # Nor would it, if it were an element: the page's policy lets nothing run or load but its own.
    page.run("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hit = 1'}))")
    assert page.run("window.hit ?? 0") == 0
    assert any("Content Security Policy" in text for text in page.complaints)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_can_be_read(opened: Callable[..., Browser], browser: Browser, scheme: str) -> None:
    browser.prefer(scheme)
    page = opened(lossy("one.test", limit_rate="5", rate_limit="5", proxy_body_size="x", auth_keepalive="1"))
    background, ratios = page.run(CONTRASTS)
    assert (background > 0.5) is (scheme == "light")
    assert {name for name, ratio in ratios.items() if ratio < 4.5} == set()
    assert ratios.keys() == {"h1", "td p", ".remedy", ".place", ".count", "code", "th", ".badge"}
