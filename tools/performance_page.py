"""Write `docs/project/performance.md`: the figures of `benches/results` beside their bars, missed ones too.

`make pages` writes it, so that a figure that is measured anew and committed is on the page. What the figures are made
of is in the README.md of each bench.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benches" / "results"
#: The plot of `make bench-proxy`, and where the site has it.
PLOT, SHOWN = RESULTS / "proxy.svg", ROOT / "docs" / "pictures" / "proxy.svg"
PAGE = ROOT / "docs" / "project" / "performance.md"
_TREE = "https://github.com/sluicegate/sluicegate/blob/main/benches"
_PEERS = ("sluicegate", "nginx", "haproxy", "envoy")

_HEAD = """\
# Performance

What was measured, on which machine, and beside which bar: those that are missed stand here too. CPU time says more than
requests a second, since a machine that others use stretches the clock. Each section has the command that measures it.

This page is written by `python tools/performance_page.py` from `benches/results`.
"""
_PROXY = """
## Beside other proxies

The same load through each proxy, one core each: medians of {rounds} rounds of {seconds} s that take turns, with
1,023 routes; {system}, {cores} cores, {others:.0%} of them used by others. The bar is a share of the named peer's
figure. Where the time goes, and how the ratios move on a machine whose caches others use:
[the bench]({tree}/proxy/README.md). `make bench-proxy`.

"""
_STEPS = """
## What policies take

Nanoseconds of a request on one thread, from its head to its endpoint, without a network. Without policies it takes
{base}. `make bench-steps`.

"""
_TELEMETRY = """
## Traces

CPU time of the gateway's process for a small request over HTTP/1.1, one worker, spans sent over HTTP: medians of
{rounds} rounds that take turns. `make bench-telemetry`.

"""
_INSTRUCTIONS = """
## Instructions

Counted by callgrind in the native library: the gate of every change, since a count is the same on a machine that others
use. `make bench-instructions` fails on 3 % more.

"""
_CONTROL = """
## In a cluster

Two cores for etcd, API server, kubelet, gateway and the bench itself. What each figure is made of:
[the bench]({tree}/scenario/README.md). `make bench-scenario`.

"""
_FILES = """
## Files

`serve` with 10,000 routes in files: a changed file until its route is live, in milliseconds. `make bench-reload`.

"""
_MICRO = """
## The router

Nanoseconds to decide a request, and to compile a table, by the native router and by the reference in Python (compiled
by Cython, and plain), which tests hold equal; {machine}. `make bench`.

"""
_FLOWS = """
## Many flows

One worker with {tcp:,} TCP connections and then {udp:,} UDP sessions open at once: memory and descriptors.

"""
_OUTAGE = """
## Services that go and come back

A minute at 2,000 requests a second while the service of the token keys, the authoriser and an endpoint go and come
back: nobody gets what should be refused, no connection breaks off. `make outage`.

"""
_COUNTS = {
    "resolve": "decide a request among 1,000 routes",
    "compile": "apply 1,000 routes to nothing",
    "change": "apply one changed route of 1,000",
    "proxy": "a request over HTTP/1.1 through the engine",
    "plain": "a request without a network and without policies",
    "limit": "the same with a rate limit",
    "api-key": "the same with an API key",
    "jwt": "the same with a token that is known",
    "jwt-new": "the same with a token that is new",
    "hash": "the same with balancing by hash over 100 endpoints",
}


def page() -> str:
    """The page as it should be."""
    parts = (_proxy(), _steps(), _telemetry(), _instructions(), _control(), _files(), _micro(), _flows(), _outage())
    return _HEAD + "".join("".join(part) for part in parts)


def _result(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return found


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = tuple(titles)
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), ""])


def number(value: float | None) -> str:
    """With three digits that matter, or all before the point."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _proxy() -> Iterator[str]:
    found = _result("proxy")
    settings, machine = found["settings"], found["machine"]
    system = machine["system"].split("-")
    yield _PROXY.format(
        rounds=settings["rounds"],
        seconds=settings["seconds"],
        system=f"{system[0]} {system[1]}",
        cores=machine["cores"],
        others=settings["others"],
        tree=_TREE,
    )
    rows = []
    for row in found["rows"]:
        figures = [number(row["figures"].get(peer)) for peer in _PEERS]
        bar, ratio, compared = row.get("bar"), row.get("ratio"), row.get("compared_with")
        beside = f"{ratio['middle']:.2f} of {compared}" if ratio and compared else "-"
        limit = "-" if bar is None else f"{bar['limit']:g}" if compared else f"{bar['limit']:,}"
        rows.append((row["title"], row["unit"], *figures, beside, limit, _verdict(row["verdict"])))
    yield _table(("shape", "unit", *_PEERS, "ours", "bar", ""), rows)
    yield f"\n![The same as bars; the dashed line is the bar](../pictures/{SHOWN.name})\n"


def _verdict(said: str | bool | None) -> str:
    """What the benches say, in one form; empty where there is no bar."""
    return (
        {"MISSED": "missed", False: "missed", "reached": "reached", True: "reached"}[said]
        if said not in (None, "")
        else ""
    )


def _steps() -> Iterator[str]:
    found = _result("steps")
    yield _STEPS.format(base=found["without policies"])
    rows = (
        (_COUNTS[name].removeprefix("the same ").removeprefix("with "), *_cells(step))
        for name, step in found["steps"].items()
    )
    yield _table(("step", "adds", "bar", ""), rows)


def _cells(step: dict[str, Any]) -> tuple[str, str, str]:
    return str(step["nanoseconds"]), str(step["bar"]), _verdict(step["verdict"])


def _telemetry() -> Iterator[str]:
    if not (RESULTS / "telemetry.json").exists():  # it is only written where others left the machine alone
        return
    found = _result("telemetry")
    yield _TELEMETRY.format(rounds=found["settings"]["rounds"])
    rows = []
    for name, each in found["variants"].items():
        bar = "-" if each["bar"] is None else f"{each['bar']:g} %" if each["bar"] else "noise"
        count = found["instructions"].get(name)
        figures = (number(each["microseconds"]), f"{each['more']:+.1f} %", "-" if count is None else f"{count:,.0f}")
        rows.append((each["title"], *figures, bar, _verdict(each["verdict"])))
    yield _table(("traces", "us", "more", "instructions", "bar", ""), rows)


def _instructions() -> Iterator[str]:
    found = _result("instructions")
    yield _INSTRUCTIONS
    rows = ((_COUNTS[name], f"{count:,.0f}") for name, count in found["instructions"].items())
    yield _table(("work", "instructions"), rows)
    build = found["build"]
    yield f"\n{build['compiler']}, {build['machine']}.\n"


def _control() -> Iterator[str]:
    yield _CONTROL.format(tree=_TREE)
    rows = []
    for row in _result("control")["rows"]:
        figures, bars = (", ".join(f"{name} {value}" for name, value in row[key].items()) for key in ("figure", "bar"))
        rows.append(
            (row["name"], row["unit"], figures.replace("_", " "), bars.replace("_", " "), _verdict(row["reached"]))
        )
    yield _table(("what", "unit", "figure", "bar", ""), rows)


def _files() -> Iterator[str]:
    yield _FILES
    rows = []
    for files in (1, 100, 10000):
        found = _result(f"reload-10000-{files}")
        live = found["rename_to_live_ms"]
        rows.append((f"{files:,}", str(live["median"]), str(live["max"]), str(found["start_seconds"])))
    yield _table(("files", "median", "most", "start, s"), rows)


def _micro() -> Iterator[str]:
    found = _result("micro")
    yield _MICRO.format(machine=found["machine"])
    rows = (
        (row["kind"], f"{row['routes']:,}", *(number(row[build]) for build in ("rust", "cython", "python")))
        for row in found["rows"]
    )
    yield _table(("work", "routes", "native", "Cython", "Python"), rows)


def _flows() -> Iterator[str]:
    found = _result("flows")
    yield _FLOWS.format(tcp=found["tcp"]["flows"], udp=found["udp"]["flows"])
    states = {
        "before": found["base"],
        "TCP open": found["tcp"]["while_open"],
        "UDP open": found["udp"]["while_open"],
        "after": found["after"],
    }
    rows = ((name, f"{state['resident_kib']:,}", f"{state['descriptors']:,}") for name, state in states.items())
    yield _table(("", "resident, KiB", "descriptors"), rows)


def _outage() -> Iterator[str]:
    yield _OUTAGE
    rows = []
    for protocol, found in _result("outage").items():
        for who, answers in found["answers"].items():
            said = ", ".join(f"{status}: {count:,}" for status, count in answers.items())
            rows.append((protocol, who, said, str(found["broken_off"])))
    yield _table(("protocol", "credential", "answers", "broken off"), rows)


if __name__ == "__main__":
    PAGE.write_text(page())
    SHOWN.write_bytes(PLOT.read_bytes())
