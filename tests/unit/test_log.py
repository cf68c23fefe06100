"""The log of a process: for people, for programs, bounded, and nothing again and again."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sluicegate.controller import caught
from sluicegate.observe import once as once_module
from sluicegate.observe.log import MAX_QUEUED, Log
from sluicegate.observe.once import AGAIN, MAX_REMEMBERED


class Clock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(once_module.time, "monotonic", found)
    return found


@pytest.fixture
def root() -> Iterator[None]:
    """The root logger as it was, afterwards."""
    before = logging.getLogger().handlers
    yield
    logging.getLogger().handlers = before


class Lines(io.StringIO):
    """A stream that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._written = threading.Condition()

    def write(self, text: str) -> int:
        with self._written:
            count = super().write(text)
            self._written.notify_all()
        return count

    def has(self, lines: int) -> bool:
        with self._written:
            return self._written.wait_for(lambda: self.getvalue().count("\n") >= lines, 60)


class Made:
    """A log and what it wrote."""

    def __init__(self, output: str = "text", level: str = "info") -> None:
        self._out, self._err = io.StringIO(), Lines()
        self.process_log = Log(output, level, self._out, self._err)

    @property
    def out(self) -> list[str]:
        self.process_log.close()
        return self._out.getvalue().splitlines()

    def until(self, lines: int) -> list[str]:
        """Standard error, once it has so many lines; nothing is told because the log ends."""
        assert self._err.has(lines), self._err.getvalue()
        return self._err.getvalue().splitlines()

    @property
    def err(self) -> list[str]:
        self.process_log.close()
        return self._err.getvalue().splitlines()

    @property
    def events(self) -> list[dict[str, Any]]:
        found = list(map(json.loads, self.out))
        for event in found:
            assert event.pop("time").endswith("Z")
        return found


def test_people_read_sentences() -> None:
    made = Made()
    made.process_log.information("ready", "it is ready", seconds=1)
    made.process_log.warning("broken", "it is broken", object="HTTPRoute/default/a")
    made.process_log.error("gone", "it is gone")
    made.process_log.summary("ready", "first line\nsecond line", listeners=[])
    made.process_log.news("error", "schema", "a.yaml:1: error: bad")
    assert made.err == ["it is ready", "warning: it is broken", "error: it is gone", "a.yaml:1: error: bad"]
    assert made.out == ["first line", "second line"]


def test_programs_read_objects() -> None:
    made = Made("json")
    made.process_log.information("ready", "it is ready", seconds=1)
    made.process_log.warning("broken", "it is broken", object="HTTPRoute/default/a")
    made.process_log.error("gone", "it is gone")
    made.process_log.summary("summary", "first line", listeners=[])
    made.process_log.news("error", "changed", "a text", problems=["x"])
    assert made.events == [
        {"event": "ready", "seconds": 1, "message": "it is ready"},
        {"event": "warning", "code": "broken", "object": "HTTPRoute/default/a", "message": "it is broken"},
        {"event": "error", "code": "gone", "message": "it is gone"},
        {"event": "summary", "listeners": []},
        {"event": "changed", "problems": ["x"]},
    ]
    assert made.err == []


@pytest.mark.parametrize(("level", "told"), [("debug", "diwe"), ("info", "iwe"), ("warning", "we"), ("error", "e")])
def test_levels(level: str, told: str) -> None:
    made = Made("json", level)
    made.process_log.debug("d", "d")
    made.process_log.information("i", "i")
    made.process_log.warning("w", "w")
    made.process_log.error("e", "e")
    assert [event["message"] for event in made.events] == list(told)


def test_the_same_is_told_once_a_minute_with_how_often_it_came(clock: Clock) -> None:
    made = Made()
    for _ in range(5):
        made.process_log.warning("broken", "it is broken")
        made.process_log.warning("broken", "another is broken")
    clock.now += AGAIN - 1
    made.process_log.warning("broken", "it is broken")
    clock.now += 1
    made.process_log.warning("broken", "it is broken")
    clock.now += AGAIN
    made.process_log.warning("broken", "it is broken")
    assert made.err == [
        "warning: it is broken",
        "warning: another is broken",
        "warning: it is broken (5 times more since it was told)",
        "warning: it is broken",
    ]


AWAY, BACK = ("collector_unavailable", "c: it is away"), ("collector_available", "c: it is back")
#: What is told at once of each, and how often it came besides by the time that it is told again.
TOLD = {AWAY: f"warning: {AWAY[1]}", BACK: f"warning: {BACK[1]}"}


@pytest.mark.parametrize(
    ("states", "rest"),
    [
        ([AWAY], []),
        ([AWAY, BACK], []),
        ([AWAY, BACK, AWAY], [f"warning: {AWAY[1]}"]),
        ([AWAY, BACK, AWAY, BACK], []),
        ([AWAY, BACK, AWAY, BACK, AWAY], [f"warning: {AWAY[1]} (1 times more since it was told)"]),
        ([BACK, BACK], []),
    ],
)
def test_the_last_word_on_what_comes_and_goes(clock: Clock, states: list[tuple[str, str]], rest: list[str]) -> None:
    made = Made()
    for state in states:
        made.process_log.state("c", *state)
        clock.now += 1
    at_once = [TOLD[state] for state in dict.fromkeys(states)]
    assert made.until(len(at_once)) == at_once  # bounded: the first of each
    clock.now += AGAIN
    assert made.until(len(at_once) + len(rest)) == at_once + rest
    clock.now += AGAIN
    assert made.err == at_once + rest
    assert (at_once + rest)[-1].startswith(TOLD[states[-1]])


@pytest.mark.parametrize(
    "states",
    [
        [(AWAY, 1), (BACK, 58), (AWAY, 2), (BACK, AGAIN)],
        [(AWAY, 30), (BACK, 1), (AWAY, 1), (BACK, 1), (AWAY, 29), (BACK, AGAIN)],
        [(AWAY, 30), (BACK, 1), (AWAY, 1), (BACK, 1), (AWAY, AGAIN)],
    ],
)
def test_what_waits_is_not_told_behind_what_came_later(
    clock: Clock, states: list[tuple[tuple[str, str], float]]
) -> None:
    made = Made()
    for state, wait in states:
        made.process_log.state("c", *state)
        clock.now += wait
    assert made.err[-1].startswith(TOLD[states[-1][0]])
    clock.now += AGAIN
    assert made.err[-1].startswith(TOLD[states[-1][0]])


def test_states_of_others_are_others(clock: Clock) -> None:
    made = Made()
    for about in ("a", "b"):
        for code, message in (AWAY, BACK, AWAY):
            made.process_log.state(about, code, f"{about} {message}")
    assert made.err[-2:] == [f"warning: {about} {AWAY[1]}" for about in ("a", "b")]  # the end tells what waits


def test_only_so_much_waits(clock: Clock) -> None:
    made = Made()
    for state in (AWAY, BACK, AWAY):
        for number in range(MAX_REMEMBERED // 2):
            made.process_log.state(str(number), state[0], f"{number} {state[1]}")
    assert len(made.err) == MAX_REMEMBERED // 2 * 3
    assert made.err[-1] == f"warning: {MAX_REMEMBERED // 2 - 1} {AWAY[1]}"


def test_news_and_information_are_told_each_time(clock: Clock) -> None:
    made = Made()
    for _ in range(2):
        made.process_log.news("error", "schema", "broken again")
        made.process_log.information("leader", "leading")
    assert made.err == ["broken again", "leading"] * 2


def test_only_so_much_is_remembered(clock: Clock) -> None:
    made = Made()
    for number in range(MAX_REMEMBERED + 1):
        made.process_log.warning("broken", f"object {number}")
    made.process_log.warning("broken", f"object {MAX_REMEMBERED}")
    made.process_log.warning("broken", "object 0")  # forgotten
    assert len(made.err) == MAX_REMEMBERED + 2


class Stuck(io.StringIO):
    """A pipe that nobody reads."""

    def __init__(self) -> None:
        super().__init__()
        self.read = threading.Event()
        self.reached = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        assert self.read.wait(60)
        return super().write(text)


def test_a_pipe_that_nobody_reads_stops_nothing_and_what_is_lost_is_told() -> None:
    pipe = Stuck()
    process_log = Log("text", "info", pipe, pipe)
    process_log.information("a", "first")
    assert pipe.reached.wait(60)  # one line is being written
    for number in range(MAX_QUEUED + 3):
        process_log.information("a", f"line {number}")
    pipe.read.set()
    process_log.close()
    lines = pipe.getvalue().splitlines()
    assert lines[1] == "warning: 3 lines of the log were lost: they came faster than they could be written"
    assert len(lines) == MAX_QUEUED + 2


def test_a_disk_that_is_full_is_counted() -> None:
    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    before = caught.counts().get("log", 0)
    process_log = Log("text", "info", Full(), Full())
    process_log.information("a", "text")
    process_log.close()
    assert caught.counts()["log"] == before + 1


def test_a_field_that_json_does_not_have_is_counted() -> None:
    before, made = caught.counts().get("log", 0), Made("json")
    made.process_log.information("a", "text", value=object())
    made.process_log.information("a", "text")
    assert len(made.events) == 1
    assert caught.counts()["log"] == before + 1


def test_what_libraries_warn_of_looks_the_same(root: None) -> None:
    made = Made("json")
    made.process_log.take_over()
    logging.getLogger("aiohttp.server").info("not told")
    try:
        {}["odd"]
    except KeyError:
        logging.getLogger("aiohttp.server").exception("unhandled %s", "thing")
    (event,) = made.events
    assert (event["event"], event["code"]) == ("error", "aiohttp.server")
    assert event["message"].startswith("unhandled thing: KeyError: 'odd' at test_log.py:")


def test_what_is_told_may_tell_something_itself(root: None) -> None:
    """A value that logs as it becomes text; of the collector of garbage the same is to be feared at any place."""
    made = Made()
    made.process_log.take_over()

    class Telling:
        def __str__(self) -> str:
            logging.getLogger("library").warning("within")
            return "a value"

    thread = threading.Thread(target=logging.getLogger("library").warning, args=("of %s", Telling()), daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "the log waits for itself"
    assert made.err == ["warning: within", "warning: of a value"]


def test_what_waits_is_not_looked_at_with_each_line(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made()
    looked: list[logging.LogRecord] = []
    for number in range(MAX_REMEMBERED):
        for how in ("down", "up", "down"):
            made.process_log.state(f"thing {number}", "state", how)
    monkeypatch.setattr(once_module, "_key", looked.append)
    for number in range(200):
        made.process_log.information("line", f"line {number}")
    assert made.until(202)[-1] == "line 199"
    assert looked == []


def test_what_cannot_be_made_text_stops_nobody(root: None) -> None:
    """As with the handlers of `logging`: whoever logs goes on."""
    made = Made()
    made.process_log.take_over()
    before = caught.counts().get("log", 0)
    logging.getLogger("library").warning("%d things", "some")
    logging.getLogger("library").warning("more")
    assert made.err == ["warning: more"]
    assert caught.counts()["log"] == before + 1
