"""Style and script of the page of a migration, which stand in the page itself."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --text: #1c1e21; --page: #fff; --weak: #5b6470; --line: #d9dde3; --part: #f5f6f8; --mark: #1a5fb4;
  --lost: #a51d2d; --wrong: #8a4b00; --never: #5b6470; --differs: #1a5fb4; --good: #1b6e3c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: #e6e8eb; --page: #16181c; --weak: #a0a8b3; --line: #343a43; --part: #1f2329; --mark: #8ab8f5;
    --lost: #ff8f9a; --wrong: #f0b26a; --never: #a0a8b3; --differs: #8ab8f5; --good: #7fd3a0;
  }
}
body {
  font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 76rem; padding: 1.5rem 1rem;
  color: var(--text); background: var(--page);
}
h1 { font-size: 1.6rem; margin: 0; }
h2 { font-size: 1.05rem; margin: 0; display: inline; overflow-wrap: anywhere; font-weight: 600; }
header p { margin: .4rem 0 1rem; }
.search label { font-weight: 600; }
input[type="search"] {
  font: inherit; color: inherit; background: var(--part); border: 1px solid var(--line); border-radius: .4rem;
  padding: .5rem .7rem; width: 100%; box-sizing: border-box; margin-top: .3rem;
}
:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px; }
fieldset { border: 0; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; }
legend { font-weight: 600; padding: 0; margin-bottom: .2rem; }
.count { color: var(--weak); font-variant-numeric: tabular-nums; }
#found { color: var(--weak); min-height: 1.5em; }
section, details { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; overflow: hidden; }
details { content-visibility: auto; contain-intrinsic-size: auto 3rem; }
section > h2, summary { display: block; background: var(--part); padding: .5rem .8rem; }
summary { cursor: pointer; }
summary::before { content: "\\25B8"; display: inline-block; width: 1.2em; color: var(--weak); }
details[open] > summary::before { content: "\\25BE"; }
summary::-webkit-details-marker { display: none; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; }
th, td { text-align: left; vertical-align: top; padding: .5rem .8rem; border-top: 1px solid var(--line); }
th { font-size: .85rem; color: var(--weak); font-weight: 600; }
th:nth-child(1) { width: 46%; } th:nth-child(3) { width: 20%; }
td p { margin: .2rem 0 0; } td p:first-child { margin-top: 0; }
.remedy { color: var(--weak); }
.remedy::before { content: "\\2192\\00a0"; }
code { font-size: .875em; overflow-wrap: anywhere; white-space: pre-wrap; }
.place { color: var(--weak); overflow-wrap: anywhere; font-size: .9em; }
.badge {
  display: inline-block; border: 1px solid currentColor; border-radius: 1em; padding: 0 .6em; font-size: .8rem;
  line-height: 1.5; white-space: nowrap;
}
.badge.no-equivalent { color: var(--lost); } .badge.invalid { color: var(--wrong); }
.badge.unknown-annotation, .badge.dropped-harmless { color: var(--never); }
.badge.converted-with-difference { color: var(--differs); } .badge.converted { color: var(--good); }
footer { color: var(--weak); font-size: .9rem; }
[hidden] { display: none; }
@media (max-width: 44rem) {
  table, tbody, tr, td { display: block; } thead { display: none; }
  tr { border-top: 1px solid var(--line); padding: .5rem 0; } td { border: 0; padding: .2rem .8rem; }
}
@media print { header .search, fieldset { display: none; } details { content-visibility: visible; } }
"""

#: Hidden is what lacks a word of the search or has a fate that is not wanted; what is found is opened. Texts are read,
#: and never written as HTML.
SCRIPT = """
const MOST_OPENED = 40;
const search = document.querySelector("#search");
const boxes = [...document.querySelectorAll("fieldset input")];
const parts = [...document.querySelectorAll("section, details")].map((element) => ({
  element,
  opened: element.open,
  title: element.querySelector("h2").textContent.toLowerCase(),
  rows: [...element.querySelectorAll("tbody tr")].map((row) => ({ row, text: row.textContent.toLowerCase() })),
}));
let waiting = 0;
const shown = (number) => number.toLocaleString("en");
function show() {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  const seen = new Set();
  for (const part of parts) {
    part.found = false;
    for (const { row, text } of part.rows) {
      const fate = row.dataset.fate;
      const fits = (!fate || wanted.has(fate)) && words.every((word) => `${part.title} ${text}`.includes(word));
      row.hidden = !fits;
      part.found = part.found || fits;
      if (fits) {
        seen.add(text);
      }
    }
    part.element.hidden = !part.found;
  }
  const number = parts.filter((part) => part.found).length;
  for (const { element, opened, found } of parts) {
    if (element.matches("details")) {
      element.open = found && (words.length ? number <= MOST_OPENED : opened);
    }
  }
  const all = !words.length && wanted.size === boxes.length;
  document.querySelector("#found").textContent = all
    ? ""
    : `${shown(seen.size)} found, in ${shown(number)} of ${shown(parts.length)} parts`;
}
function later() {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(show);
}
search.addEventListener("input", later);
for (const box of boxes) {
  box.addEventListener("change", later);
}
for (const part of parts) {
  part.element.querySelector("summary")?.addEventListener("click", () => {
    if (!search.value) {
      part.opened = !part.element.open;
    }
  });
}
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && event.target !== search) {
    event.preventDefault();
    search.focus();
  } else if (event.key === "Escape" && event.target === search) {
    search.value = "";
    show();
  }
});
"""
