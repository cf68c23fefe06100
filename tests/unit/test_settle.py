"""When a file that changed counts, on clocks of the tests' own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sluicegate.controller.sources.files import Reader, Settling
from sluicegate.controller.sources.files.disk import is_open_for_writing
from sluicegate.controller.sources.files.settle import MAX_RESTLESS, QUIET, QUIET_GONE, QUIET_LOSS, Look

WRITTEN = 1_000_000.0
BODY = "x: 1\n" * 400


class Clock:
    """Both clocks; they stand still until a test moves them."""

    def __init__(self) -> None:
        self.time = WRITTEN

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settling(clock: Clock) -> Settling:
    return Settling(clock, clock)


@pytest.mark.parametrize(
    ("before", "after", "wait"),
    [
        pytest.param(Look(BODY, 1, 0), Look(f"y: 2\n{BODY}", 1, 0), 0.0, id="edited further up"),
        pytest.param(Look(BODY, 1, 1), Look(f"y: 2\n{BODY}", 1, 0), 0.0, id="mended"),
        pytest.param(Look(BODY, 1, 0), Look(f"{BODY}y: 2\n", 1, 0), QUIET, id="ends otherwise"),
        pytest.param(Look(BODY, 1, 0), Look(BODY[:1000], 1, 0), QUIET, id="cut"),
        pytest.param(None, Look(BODY, 1, 0), QUIET, id="new"),
        pytest.param(Look(BODY, 2, 0), Look(f"y: 2\n{BODY}", 1, 0), QUIET_LOSS, id="a document less"),
        pytest.param(Look(BODY, 1, 0), Look(f"y: 2\n{BODY}", 1, 1), QUIET_LOSS, id="a new fault"),
        pytest.param(Look(BODY, 1, 0), Look("", 0, 0), QUIET_LOSS, id="emptied"),
    ],
)
def test_a_change_counts_when_it_is_whole(
    clock: Clock, settling: Settling, before: Look | None, after: Look, wait: float
) -> None:
    assert settling.is_whole("a", 1, WRITTEN, before, after, written=None) == (wait == 0)
    assert (settling.due is None) == (wait == 0)
    clock.time += wait + 0.001
    assert settling.is_whole("a", 1, WRITTEN, before, after, written=None)
    assert settling.due is None
    assert settling.restless == frozenset()


def test_an_old_file_counts_at_once(settling: Settling) -> None:
    """Moved here, or unpacked: nobody is writing it."""
    assert settling.is_whole("a", 1, WRITTEN - 1, None, Look(BODY, 1, 0), written=None)


def test_a_file_that_nobody_writes_counts_unless_something_is_lost(settling: Settling) -> None:
    for before in (None, Look("x: 2\n", 1, 0)):
        assert settling.is_whole("a", 1, WRITTEN, before, Look(BODY, 1, 0), written=False)
    assert not settling.is_whole("a", 1, WRITTEN, Look(BODY, 2, 0), Look("x: 2\n", 1, 0), written=False)


def test_a_file_that_is_open_for_writing_is_waited_for(clock: Clock, settling: Settling) -> None:
    """However long its last change is ago, until it is closed, or five seconds are over."""
    started = clock.time
    while not settling.is_whole("a", 1, WRITTEN - 9, Look(BODY, 1, 0), Look("x: 2\n", 1, 0), written=True):
        assert settling.due is not None
        clock.time += 0.1
    assert clock.time - started == pytest.approx(MAX_RESTLESS, abs=0.11)


def test_who_has_a_file_open(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("kind: A\n")
    assert is_open_for_writing(str(path)) is False
    with path.open():
        assert is_open_for_writing(str(path)) is False
    with path.open("a"):
        assert is_open_for_writing(str(path)) is True
    assert is_open_for_writing(str(tmp_path / "missing")) is None


def test_a_file_from_the_future_counts_when_it_is_quiet(clock: Clock, settling: Settling) -> None:
    for expected in (False, True):
        assert settling.is_whole("a", 1, WRITTEN + 3600, None, Look(BODY, 1, 0), written=None) is expected
        clock.time += QUIET + 0.001


def test_a_file_that_never_is_quiet_counts_in_the_end(clock: Clock, settling: Settling) -> None:
    looks = 0
    while not settling.is_whole("a", looks, clock.time, Look(BODY, 1, 0), Look("x: 1", 1, 0), written=None):
        looks += 1
        clock.time += QUIET / 2
    assert MAX_RESTLESS <= looks * QUIET / 2 < MAX_RESTLESS + QUIET


def test_what_is_gone_counts_when_it_stays_away(clock: Clock, settling: Settling) -> None:
    assert not settling.is_gone("a")
    assert settling.due == pytest.approx(QUIET_GONE)
    clock.time += QUIET_GONE + 0.001
    assert settling.is_gone("a")


def kinds(reader: Reader) -> list[str]:
    return [document.data["kind"] for document in reader.read().documents]


def write(path: Path, text: str, when: float) -> None:
    path.write_text(text)
    os.utime(path, (when, when))


def test_a_reader_keeps_the_last_state_meanwhile(tmp_path: Path, clock: Clock, settling: Settling) -> None:
    path = tmp_path / "a.yaml"
    write(path, "kind: A\n---\nkind: B\n", clock.time)
    reader = Reader([str(tmp_path)], settling=settling)
    assert kinds(reader) == ["A", "B"]
    clock.time += 10
    write(path, "kind: A\n", clock.time)
    write(tmp_path / "b.yaml", "kind: C\n", clock.time)
    with (tmp_path / "b.yaml").open("a"):
        reading = reader.read()
        assert reading.restless == {str(path), str(tmp_path / "b.yaml")}
        assert [document.data["kind"] for document in reading.documents] == ["A", "B"]
    assert kinds(reader) == ["A", "B", "C"]
    clock.time += QUIET_LOSS + 0.001
    assert kinds(reader) == ["A", "C"]
    path.unlink()
    assert kinds(reader) == ["C", "A"]
    clock.time += QUIET_GONE + 0.001
    assert kinds(reader) == ["C"]


def test_an_emptied_file_keeps_what_it_had(tmp_path: Path, clock: Clock, settling: Settling) -> None:
    path = tmp_path / "a.yaml"
    write(path, "kind: A\n", clock.time)
    reader = Reader([str(path)], settling=settling)
    reader.read()
    clock.time += 10
    write(path, "", clock.time - 1)
    for _ in range(2):
        [fault] = reader.read().diagnostics
        assert fault.code == "emptied"
    write(path, "# nothing\n", clock.time - 1)
    assert reader.read().diagnostics == ()


def test_two_writes_in_one_tick_of_the_file_system(tmp_path: Path) -> None:
    """Same size, same time, same file: only the text tells."""
    path = tmp_path / "a.yaml"
    reader = Reader([str(path)])
    just_now = time.time() + 60  # however long this test is held up
    write(path, "kind: A\n", just_now)
    assert kinds(reader) == ["A"]
    write(path, "kind: B\n", just_now)
    assert kinds(reader) == ["B"]
