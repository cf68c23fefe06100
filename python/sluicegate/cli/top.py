"""`sluicegate top`: live rates, errors and latencies of each route of a running gateway."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time

import msgspec

from sluicegate.colors import is_terminal, wants_color
from sluicegate.processes.settings import DEFAULT_ADMIN, load_offline_settings
from sluicegate.words import one_line

from .exit_status import ExitStatus
from .interrupts import end_by_signals
from .manifests import COLOR
from .options import Command, Option
from .output import OUTPUT, write_lines
from .roles import refuse
from .top_figures import SORTS, Counters, TopReport, compared, sorted_by
from .top_scrape import ScrapeError, scrape

#: Seconds between two looks: the least, the most.
LEAST, MOST = 0.1, 3600.0
#: Keys, and what they order by.
_KEYS = {"r": "rate", "e": "errors", "5": "p50", "9": "p99", "t": "total", "n": "route"}
_SCROLL = {"\x1b[A": -1, "\x1b[B": 1, "k": -1, "j": 1, "\x1b[5~": -20, "\x1b[6~": 20}
#: Characters of a filter.
MAX_FILTER = 200


class _Watch:
    """Looks at a gateway again and again."""

    def __init__(self, address: str, order: str, wanted: str) -> None:
        self._address = address
        self.order, self.wanted = order, wanted
        self._at = time.monotonic()
        self._before = Counters(scrape(address))

    def look(self) -> TopReport:
        """What happened since the look before.

        Raises:
            ScrapeError: the gateway cannot be asked any more.
        """
        found, at = Counters(scrape(self._address)), time.monotonic()
        seconds, before = max(at - self._at, 1e-3), self._before
        self._at, self._before = at, found
        return compared(
            before,
            found,
            address=self._address,
            now=time.time(),
            seconds=seconds,
            order=self.order,
            wanted=self.wanted,
        )


def _run(given: argparse.Namespace) -> int:
    try:
        settings = load_offline_settings({"color": given.color}, os.environ)
        address, interval = _address(given.paths), _interval(given.interval)
    except (ValueError, OSError) as error:
        return refuse(str(error))
    end_by_signals()
    try:
        watch = _Watch(address, given.sort, given.filter or "")
        seen = is_terminal(sys.stdout) and is_terminal(sys.stdin) and os.environ.get("TERM") != "dumb"
        if given.once or given.output == "json" or not seen:
            _tell(watch, interval, color=settings.color, once=bool(given.once), json=given.output == "json")
        else:
            _show(watch, interval, colored=wants_color(settings.color, sys.stdout, os.environ))
    except ScrapeError as error:
        sys.stderr.write(f"error: {one_line(str(error))}\n")
        return ExitStatus.FAILED
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:  # who reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitStatus.OK


def _address(paths: list[str]) -> str:
    if len(paths) > 1:
        raise ValueError("name one admin listener, such as 127.0.0.1:19000")
    text = paths[0] if paths else DEFAULT_ADMIN
    text = text.removeprefix("http://").rstrip("/").removesuffix("/metrics")
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is no address and port, such as {DEFAULT_ADMIN}")
    return text


def _interval(text: str | None) -> float:
    try:
        found = float(text or 2)
    except ValueError:
        found = -1.0
    if not LEAST <= found <= MOST:
        raise ValueError(f"--interval: {text!r} is no number of seconds from {LEAST:g} to {MOST:g}")
    return found


def _tell(watch: _Watch, interval: float, *, color: str, once: bool, json: bool) -> None:
    """Write a table, or a line for programs, after each interval."""
    while True:
        time.sleep(interval)
        report = watch.look()
        if json:
            sys.stdout.write(f"{msgspec.json.encode(report).decode()}\n")
        else:
            from .top_screen import lines_of

            write_lines(lines_of(report, watch.order, watch.wanted, 140), color)
        sys.stdout.flush()
        if once:
            return


class _View:
    """What somebody has chosen with keys."""

    def __init__(self, watch: _Watch) -> None:
        self._watch = watch
        self.first = 0
        #: The filter that is being typed; None: none is.
        self.typing: str | None = None

    def press(self, key: str) -> bool:
        """Do what a key stands for; returns whether the routes are others now.

        Raises:
            EOFError: it ends the program, or the terminal is gone.
        """
        if key in {"", "\x04"}:
            raise EOFError
        if self.typing is not None:
            return self._type(key, self.typing)
        if key in {"q", "Q"}:
            raise EOFError
        if key == "/":
            self.typing = self._watch.wanted
        self._watch.order = _KEYS.get(key, self._watch.order)
        self.first += _SCROLL.get(key, 0)
        return False

    def _type(self, key: str, text: str) -> bool:
        if key in {"\r", "\n", "\x1b"}:
            self.typing = None
            if key != "\x1b":
                self._watch.wanted = text
            return key != "\x1b"
        if key in {"\x7f", "\b"}:
            self.typing = text[:-1]
        elif key.isprintable():
            self.typing = (text + key)[:MAX_FILTER]
        return False


def _show(watch: _Watch, interval: float, *, colored: bool) -> None:
    """Draw on the terminal until somebody ends it."""
    from .top_screen import HELP, Screen, lines_of

    screen, view = Screen(colored=colored), _View(watch)
    with screen.opened(), contextlib.suppress(EOFError):
        report, due = watch.look(), time.monotonic() + interval
        while True:
            if time.monotonic() >= due:
                report, due = watch.look(), time.monotonic() + interval
            report = msgspec.structs.replace(report, routes=tuple(sorted_by(watch.order, report.routes)))
            last = HELP if view.typing is None else f"filter: {view.typing}_   Enter takes it, Esc does not"
            width = screen.size[0]
            lines = lines_of(report, watch.order, watch.wanted, width)
            view.first = max(0, min(view.first, len(lines) - 4))
            faulty = [item.errors > 0 for item in report.routes[view.first :]]
            screen.draw([*lines[:3], *lines[3 + view.first :]], faulty, one_line(last)[: width - 1])
            for key in screen.keys(due - time.monotonic()):
                if view.press(key):
                    due = time.monotonic()


COMMAND = Command(
    name="top",
    description="Show live rates, errors and latencies of each route of a running gateway.",
    run=_run,
    paths=f"Admin listener of the gateway (default: {DEFAULT_ADMIN}).",
    metavar="ADDRESS:PORT",
    paths_optional=True,
    options=(
        Option(("--interval", "-n"), "Time between two looks.", "2", "SECONDS"),
        Option(("--sort", "-s"), "What rows are ordered by.", "rate", choices=SORTS),
        Option(("--filter",), "Only routes that have this in their name, or their listener's.", "all", "TEXT"),
        Option(("--once",), "End after one interval.", "until Ctrl-C, or q"),
        COLOR,
        OUTPUT,
    ),
    examples=(
        ("sluicegate top", "the gateway of this machine; keys change the order: the last line says which"),
        ("sluicegate top 127.0.0.1:19000 --sort p99 --filter shop", "slow routes of a shop first"),
        ("sluicegate top --once --output json", "for programs; without --once a line for each interval"),
        ("kubectl port-forward pod/edge-sluicegate-0 19000 & sluicegate top", "a data plane of a cluster"),
    ),
    notes="Latencies are of the requests that ended within the interval, read off the buckets of\n"
    "sluicegate_request_duration_seconds; what took longer than the last bound is shown as that bound.",
)
