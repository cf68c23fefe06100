"""The comparison with other proxies: ratios, the best peer, bars; what the load is told and what it says."""

from __future__ import annotations

import itertools
from argparse import ArgumentTypeError
from pathlib import Path

import pytest
from benches.proxy.builds import LIBRARY, compare, packages_of, parse_builds
from benches.proxy.load import Counted, command_of, counted_of
from benches.proxy.shapes import SHAPES, Bar, Driver, Figure, Shape
from benches.proxy.verdict import Sample, best_of, rows_of, troubles

import sluicegate


def shape(*bars: Bar, figure: Figure = Figure.CPU) -> Shape:
    return Shape("shape", "a shape", "http", "request", bars, figure=figure)


def rounds(*values: float) -> list[Sample]:
    return [Sample(value) for value in values]


MEASURED = {
    ("shape", "sluicegate"): rounds(10, 22, 9),
    ("shape", "nginx"): rounds(10, 20, 10),
    ("shape", "envoy"): rounds(30, 40, 30),
    ("shape", "reference"): rounds(1, 1, 1),
    ("another", "sluicegate"): rounds(1),
}


def test_ratios_are_taken_round_by_round() -> None:
    """A neighbour that slows one round down slows both sides of its ratio."""
    [row] = rows_of([shape(Bar(0.95, ("nginx",)))], MEASURED)
    assert row.ratio is not None
    assert (row.ratio.middle, row.ratio.least, row.ratio.most) == (1.0, 0.9, 1.1)
    assert (row.verdict, row.compared) == ("MISSED", "nginx")
    assert row.figures == {"sluicegate": 10, "nginx": 10, "envoy": 30, "reference": 1}


def test_the_best_peer_is_neither_ours_nor_the_reference() -> None:
    [row] = rows_of([shape()], MEASURED)
    assert row.best is not None
    assert (row.best[0], row.verdict, row.unit) == ("nginx", "", "CPU us / request")


@pytest.mark.parametrize(
    ("bar", "compared", "verdict"),
    [
        (Bar(1.0, ("nginx", "envoy")), "nginx", "reached"),
        (Bar(0.99, ("envoy", "nginx")), "nginx", "MISSED"),
        (Bar(0.4, ("envoy",)), "envoy", "reached"),
        (Bar(1.0, ("haproxy",)), None, "not measured"),
        (Bar(1.0, ("haproxy", "envoy")), "envoy", "reached"),
        (Bar(10), None, "reached"),
        (Bar(9.9), None, "MISSED"),
    ],
)
def test_verdict(bar: Bar, compared: str | None, verdict: str) -> None:
    [row] = rows_of([shape(bar)], MEASURED)
    assert (row.compared, row.verdict) == (compared, verdict)
    assert row.document()["verdict"] == verdict


def test_without_ours_no_bar_is_reached() -> None:
    [row] = rows_of([shape(Bar(100.0, ("nginx",)))], {("shape", "nginx"): rounds(1)})
    assert (row.verdict, row.best) == ("not measured", None)


def test_a_row_for_each_bar_and_none_for_what_was_not_measured() -> None:
    bars = (Bar(0.4, ("envoy",)), Bar(0.7, ("nginx",)))
    unmeasured = Shape("unmeasured", "", "http", "request", bars)
    assert [row.compared for row in rows_of([shape(*bars), unmeasured], MEASURED)] == ["envoy", "nginx"]


def test_memory_that_does_not_grow_is_no_division_by_zero() -> None:
    measured = {("shape", "sluicegate"): rounds(0), ("shape", "nginx"): rounds(0)}
    [row] = rows_of([shape(Bar(4096), figure=Figure.MEMORY)], measured)
    assert (row.verdict, row.unit) == ("reached", "RSS bytes / request")


def test_best_of() -> None:
    assert best_of({"a": 2.0, "b": 1.0}, ["a", "b", "c"]) == "b"
    assert best_of({"a": 2.0}, ["c"]) is None


def test_troubles() -> None:
    samples = {("tls", "nginx"): [Sample(1, failed=2), Sample(1, failed=1)], ("tls", "envoy"): [Sample(1)]}
    assert troubles(samples, 0.01) == ["tls, nginx: 3 failed"]
    assert troubles({}, 0.2) == ["other processes used 20% of this machine: nothing here is to be published"]


OUTPUT = "requests: 40 total, 42 started, 40 done, 39 succeeded, 1 failed, 0 errored, 0 timeout\n"


def test_what_h2load_says() -> None:
    log = [f"1700000000000000\t200\t{number * 1000}" for number in range(100)]
    assert counted_of(OUTPUT, log) == Counted(39, 1, 99.0)
    assert counted_of(OUTPUT, []) == Counted(39, 1, 0.0)
    assert counted_of("requests: 0 total, 9 started, 0 done, 0 succeeded, 0 failed", []) == Counted(0, 0, 0.0)


@pytest.mark.parametrize("output", ["", "requests: 9 total, 9 started, 9 done, 0 succeeded, 9 failed"])
def test_nothing_but_errors_is_no_measurement(output: str) -> None:
    assert counted_of(output, []) is None


@pytest.mark.parametrize("name", [name for name, each in SHAPES.items() if each.driver is Driver.H2LOAD])
def test_command(name: str, tmp_path: Path) -> None:
    """What each shape rests on: h2load resumes TLS sessions, sends in bursts, and opens nothing anew in a timed run."""
    each = SHAPES[name]
    command = command_of(each, 1234, tmp_path, 3, 40_000.0 if each.paced else None)
    option = dict(itertools.pairwise(command))
    assert ("--h1" in command) is not each.http2
    assert ("-D" in command) is not (each.close or bool(each.burst))
    if each.burst:
        assert option["-n"] == option["-c"]
    if each.paced:
        assert float(option["--rps"]) * int(option["-c"]) == pytest.approx(40_000, rel=0.001)
        assert float(option["--rps"]) < 100
    assert command[-1].startswith("https://" if each.entry == "tls" else "http://127.0.0.1:1234/")


def test_every_bar_is_there() -> None:
    """The bars of the project, so that none is lost on the way."""
    bars = {name: [(bar.limit, bar.peers) for bar in each.bars] for name, each in SHAPES.items()}
    every = ("haproxy", "nginx", "envoy")
    assert bars == {
        "http1-32": [(0.92, ("nginx", "haproxy"))],
        "http1-256": [(0.95, ("nginx", "haproxy"))],
        "http2": [(1.0, ("haproxy",))],
        "grpc": [(0.45, ("envoy",)), (0.7, ("nginx",))],
        "connect": [(1.0, ("nginx",))],
        "download": [(0.9, ("haproxy",))],
        "upload": [(0.95, ("haproxy",))],
        "tls": [(0.75, every)],
        "tls-handshake": [(0.65, every)],
        "tls-download": [(0.6, every)],
        "tcp": [(0.75, ("envoy",))],
        "udp": [],
        "udp-flood": [(0.5, ("nginx",))],
        "idle": [(4096, ())],
        "p99": [(1.0, every)],
    }


def tree(folder: Path) -> Path:
    package = folder / "python" / "sluicegate"
    package.mkdir(parents=True)
    (package / LIBRARY).touch()
    return folder


def test_builds_are_libraries_or_source_trees(tmp_path: Path) -> None:
    library, source = tmp_path / "library.so", tree(tmp_path / "tree")
    library.touch()
    assert parse_builds(f"before={source},now={library}") == {"before": source, "now": library}


@pytest.mark.parametrize("text", ["", "a={library}", "a={library},a={library}", "a={library},b", "a={library},b=/none"])
def test_what_is_no_list_of_builds(text: str, tmp_path: Path) -> None:
    library = tmp_path / "library.so"
    library.touch()
    with pytest.raises(ArgumentTypeError):
        parse_builds(text.format(library=library))


def test_a_library_gets_the_python_of_this_tree_and_a_source_tree_has_its_own(tmp_path: Path) -> None:
    library, source = tmp_path / "library.so", tree(tmp_path / "tree")
    library.touch()
    assert packages_of(source, tmp_path / "unused") == source / "python"
    package = packages_of(library, tmp_path / "made") / "sluicegate"
    assert (package / LIBRARY).resolve() == library
    own = Path(sluicegate.__file__).parent
    assert (package / "__init__.py").resolve() == (own / "__init__.py").resolve()
    assert {entry.name for entry in package.iterdir()} == {entry.name for entry in own.iterdir()} - {"__pycache__"} | {
        LIBRARY
    }


def test_builds_are_compared_round_by_round() -> None:
    """A round in which the machine was slow weighs no more than the others."""
    samples = {("shape", "before"): rounds(10, 20, 10, 40, 10), ("shape", "now"): rounds(9, 18, 9, 36, 11)}
    [found] = compare([shape(), Shape("unmeasured", "", "http", "request")], samples, "before", "now")
    assert (found.ratio, found.quarter, found.three_quarters, found.rounds) == (0.9, 0.9, 0.9, 5)
    assert found.figures == (10, 11)
