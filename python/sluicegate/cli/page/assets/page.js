// What the page does beyond links and forms: it finds while one types, keeps figures live, and follows changes.
// Without it everything can be read. Nothing is asked for while the page is not visible.
const EVERY = 4000; // milliseconds between looks at the counters
const REST = 200; // milliseconds after a key before the list is asked for
const QUIET = 60000; // milliseconds of a gateway that does not answer before it is asked less often

let last = null; // counters before
let serial = null; // of what the page shows
let timer = 0;
let failing = 0;
let asking = null; // the request for another part of the page

const $ = (selector, from = document) => from.querySelector(selector);
const $$ = (selector, from = document) => [...from.querySelectorAll(selector)];
const say = (text) => { $("#live").textContent = text; };

// --- Figures ------------------------------------------------------------------------------------------------

const shown = (value) => value >= 100 ? Math.round(value).toLocaleString("en") : value >= 10 ? value.toFixed(1) : value.toFixed(2);
const time = (seconds) => seconds === null ? "–" : seconds < 1 ? `${shown(seconds * 1000)} ms` : `${shown(seconds)} s`;

// Seconds within which a part of the requests ended; `null`: there were none.
export function quantile(bounds, buckets, part) {
  const total = buckets.at(-1) ?? 0;
  if (!total) return null;
  const wanted = part * total;
  let below = 0, lower = 0;
  for (let index = 0; index < bounds.length; index++) {
    if (buckets[index] >= wanted) {
      const inside = buckets[index] - below;
      return inside ? lower + (bounds[index] - lower) * (wanted - below) / inside : bounds[index];
    }
    below = buckets[index];
    lower = bounds[index];
  }
  return bounds.at(-1) ?? null;
}

// What happened between two looks; a counter that went back began anew.
export function between(before, now) {
  const seconds = now.time - before.time;
  const found = new Map();
  if (!(seconds > 0)) return found;
  for (const [name, counted] of Object.entries(now.routes)) {
    const old = before.routes[name] ?? { requests: {}, buckets: [], connections: 0 };
    const more = (value, than) => value >= (than ?? 0) ? value - (than ?? 0) : value;
    let requests = 0, errors = 0;
    for (const [kind, count] of Object.entries(counted.requests)) {
      const added = more(count, old.requests[kind]);
      requests += added;
      if (kind === "5xx") errors += added;
    }
    const buckets = counted.buckets.map((count, index) => more(count, old.buckets[index]));
    const flows = more(counted.connections, old.connections);
    found.set(name, {
      rate: (requests + flows) / seconds,
      errors: requests ? errors / requests : null,
      p50: quantile(now.bounds, buckets, 0.5),
      p99: quantile(now.bounds, buckets, 0.99),
    });
  }
  return found;
}

function fill(found, now, rate) {
  for (const row of $$("[data-route]")) {
    const figures = found.get(row.dataset.route) ?? { rate: 0, errors: null, p50: null, p99: null };
    const put = (name, text) => { const cell = $(`[data-figure=${name}]`, row); if (cell && cell.textContent !== text) cell.textContent = text; };
    put("rate", `${shown(figures.rate)}/s`);
    put("errors", figures.errors === null ? "–" : `${shown(figures.errors * 100)} %`);
    put("p50", time(figures.p50));
    put("p99", time(figures.p99));
  }
  const open = $("[data-figure=connections]");
  if (open) open.textContent = now.connections.toLocaleString("en");
  const all = $("[data-figure=all]");
  if (all) all.textContent = `${shown(rate)}/s`;
}

async function look() {
  clearTimeout(timer);
  if (document.visibilityState !== "visible") { last = null; return; }
  try {
    const names = $$("[data-route]").map((row) => row.dataset.route);
    const asked = new URLSearchParams((names.length ? names : [""]).map((name) => ["route", name])).toString();
    const query = asked.length < 6000 ? asked : ""; // all of them
    const answer = await fetch(`/api/v1/counters?${query}`, { cache: "no-store" });
    if (!answer.ok) throw new Error(`${answer.status}`);
    const now = await answer.json();
    failing = 0;
    if (now.live && last && last.live) { fill(between(last, now), now, Math.max(now.requests - last.requests, 0) / (now.time - last.time)); say("live"); }
    else if (!now.live) say("no counters: no pod is connected");
    last = now;
    if (serial !== null && serial !== now.serial) await show(location.href, false);
    serial = now.serial;
  } catch {
    failing += EVERY;
    last = null;
    say("Sluicegate does not answer; what is shown is of before");
  }
  timer = setTimeout(look, failing > QUIET ? EVERY * 8 : EVERY);
}

// --- The list follows what is typed --------------------------------------------------------------------------

async function show(address, moves) {
  asking?.abort();
  asking = new AbortController();
  const answer = await fetch(address, { signal: asking.signal, cache: "no-store" }).catch(() => null);
  if (!answer || !answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const name of ["#found", "#head"]) {
    const old = $(name), fresh = $(name, page);
    if (old && fresh && !old.contains(document.activeElement)) old.replaceWith(document.adoptNode(fresh));
  }
  document.title = page.title;
  if (location.hash && !moves) { // the row that is selected is a new one
    const [left, top] = [scrollX, scrollY];
    location.replace(location.hash);
    scrollTo(left, top);
  }
  if (moves) history.replaceState(null, "", address);
}

let rest = 0;
document.addEventListener("input", (event) => {
  const form = event.target.closest("form[data-list]");
  if (!form) return;
  clearTimeout(rest);
  rest = setTimeout(() => {
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    show(`${location.pathname}${query.size ? `?${query}` : ""}`, true);
  }, REST);
});

// --- Keys ------------------------------------------------------------------------------------------------------

const isTyping = (element) => element.matches("input, textarea, select");
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const field = $("main input[type=search]") ?? $("main textarea");
  if (event.key === "/" && field && !isTyping(event.target)) {
    event.preventDefault();
    field.focus();
  } else if (event.key === "Escape" && event.target === field && field.value) {
    field.value = "";
    field.dispatchEvent(new Event("input", { bubbles: true }));
  } else if (/^[0-9]$/.test(event.key) && !isTyping(event.target)) {
    const links = $$("nav a");
    (event.key === "0" ? links[9] : links[Number(event.key) - 1])?.click();
  } else if ((event.key === "j" || event.key === "k") && !isTyping(event.target)) {
    const rows = $$("#found a[data-first]");
    const place = rows.indexOf(document.activeElement) + (event.key === "j" ? 1 : -1);
    rows[Math.max(0, Math.min(place, rows.length - 1))]?.focus();
  }
});

document.addEventListener("visibilitychange", look);
look();
