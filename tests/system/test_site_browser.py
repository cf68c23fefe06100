"""The documentation site as people see it: on a phone nothing sticks out, and a dark page has dark pictures."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from system_browser import PROGRAM, Browser

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no browser: install chromium")
PHONE = 390  # and one more in what follows, for what is rounded
#: Pages with what is wide: tables, long names, pictures, tabs, code.
WIDE = (
    *("", "access-log", "commands", "diagnostics", "errors", "metrics", "operate/beside", "operate/install", "page"),
    *("policies/comparison", "project/performance", "reference/conditions", "reference/features", "settings", "start"),
    *("start/one-node", "reference/permissions", "tasks/tokens"),
)
#: What sticks out, and is in nothing that can be scrolled.
STICKS_OUT = """[...document.querySelectorAll('article *')].filter((item) => {
  const box = item.getBoundingClientRect();
  if (box.width === 0 || box.right <= 391) return false;
  for (let part = item; part && part.tagName !== 'ARTICLE'; part = part.parentElement)
    if (getComputedStyle(part).overflowX !== 'visible') return false;
  return true;
}).map((item) => item.tagName + ': ' + item.textContent.slice(0, 60)).slice(0, 3)"""
#: Names in code that a line breaks between two letters, with what stands before and after the break.
BROKEN = r"""[...document.querySelectorAll('article code')].filter((code) => !code.closest('pre')).flatMap((code) => {
  if (code.getClientRects().length < 2) return [];
  const found = [], range = document.createRange(), texts = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
  let before = '', bottom = Infinity;
  while (texts.nextNode())
    for (let place = 0; place < texts.currentNode.length; place++) {
      range.setStart(texts.currentNode, place);
      range.setEnd(texts.currentNode, place + 1);
      const now = range.toString(), box = range.getBoundingClientRect();
      if (box.top >= bottom && /^[a-z0-9]{2}$/i.test(before + now)) found.push(`${code.textContent}: ${before}|${now}`);
      [before, bottom] = [now, box.bottom];
    }
  return found;
})"""
SHOWN = """[...document.images].filter((image) => image.src.includes('#only-') && image.offsetWidth > 0)
  .map((image) => [image.src.split('#only-')[1], image.naturalWidth > 0])"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copy(ROOT / "mkdocs.yml", folder)
    shutil.copytree(ROOT / "docs", folder / "docs")
    zensical = Path(sys.executable).with_name("zensical")
    subprocess.run([zensical, "build", "--clean", "--strict"], cwd=folder, check=True, capture_output=True, timeout=120)
    return folder / "build" / "site"


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    found = Browser(tmp_path / "profile")
    try:
        yield found
    finally:
        found.close()


def test_nothing_sticks_out_on_a_phone(browser: Browser, site: Path) -> None:
    browser.ask("Emulation.setDeviceMetricsOverride", width=PHONE, height=844, deviceScaleFactor=1, mobile=True)
    for name in WIDE:
        browser.open(site / name / "index.html")
        assert browser.run("document.documentElement.scrollWidth") <= PHONE, name
        assert browser.run(STICKS_OUT) == [], name
    browser.run(
        "document.querySelector('article').insertAdjacentHTML('beforeend', '<div style=\"width:900px\">x</div>')"
    )
    assert browser.run(STICKS_OUT) == ["DIV: x"]


def test_names_in_code_break_between_their_words(browser: Browser, site: Path) -> None:
    """At a phone's width, in tables and in text; what is copied is the name as it is."""
    browser.ask("Emulation.setDeviceMetricsOverride", width=PHONE, height=844, deviceScaleFactor=1, mobile=True)
    for name in WIDE:
        browser.open(site / name / "index.html")
        assert browser.run(BROKEN) == [], name
    browser.open(site / "metrics" / "index.html")
    names = browser.run("[...document.querySelectorAll('article td code')].map((code) => code.textContent)")
    assert "sluicegate_upstream_endpoint_duration_seconds" in names
    anywhere = "document.querySelectorAll('td code').forEach((code) => { code.style.wordBreak = 'break-all'; })"
    browser.run(anywhere)
    assert browser.run(BROKEN) != []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_are_of_the_scheme_of_the_page(browser: Browser, site: Path, scheme: str) -> None:
    browser.prefer(scheme)
    for name, count in (("page", 4), ("metrics", 2)):
        browser.open(site / name / "index.html")
        assert browser.run(SHOWN) == [[scheme, True]] * count
