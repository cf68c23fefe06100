"""pytest-benchmark: header parsing, matching and table compile, in the builds `python`, `cython` and `rust`.

Every benchmark puts `per_call_ns` of one operation into its `extra_info`. The Rust figures are taken inside the engine
(no FFI call in the loop), the Python ones by a plain loop: what is compared is the work, not the way to it.
`make bench` runs this and prints the table.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benches.tables import Workload, head_of, workload
from sluicegate import _native

SIZES = (10, 1_000, 10_000)
PACKAGES = {"python": "sluicegate.reference", "cython": "sluicegate_cython_reference"}
BUILDS = ("python", "cython", "rust")
#: Parses in one timed round.
PARSES = {"python": 500, "cython": 500, "rust": 200_000}


def load(build: str, name: str) -> Any:  # noqa: ANN401 (a module of either build)
    return importlib.import_module(f"{PACKAGES[build]}.{name}")


@pytest.fixture(scope="module")
def workloads() -> dict[tuple[int, str], Workload]:
    return {
        (size, shape): workload(size, hosts=1 if shape == "one-host" else None)
        for size in SIZES
        for shape in ("spread", "one-host")
    }


def measure(benchmark: BenchmarkFixture, function: Callable[[], Any], operations: int, **info: Any) -> None:  # noqa: ANN401
    benchmark.extra_info.update(info)
    benchmark.pedantic(function, rounds=5, warmup_rounds=1)
    benchmark.extra_info["per_call_ns"] = benchmark.stats.stats.min / operations * 1e9


@pytest.mark.parametrize("build", BUILDS)
def test_parse(benchmark: BenchmarkFixture, build: str, workloads: dict[tuple[int, str], Workload]) -> None:
    head = head_of(workloads[10, "spread"].requests[0])
    count = PARSES[build]
    if build == "rust":
        measure(benchmark, lambda: _native.bench_parse_head(head, count), count, kind="parse", build=build, size=0)
        return
    parse = load(build, "head").parse_head
    assert parse(head).method == "GET"

    def run() -> None:
        for _ in range(count):
            parse(head)

    measure(benchmark, run, count, kind="parse", build=build, size=0)


@pytest.mark.parametrize("shape", ["spread", "one-host"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("build", BUILDS)
def test_match(
    benchmark: BenchmarkFixture, build: str, size: int, shape: str, workloads: dict[tuple[int, str], Workload]
) -> None:
    """From a parsed request to the rule that takes it."""
    found = workloads[size, shape]
    info = {"kind": f"match ({shape})", "build": build, "size": size}
    if build == "rust":
        table = _native.RouteTable(found.transaction)
        requests = [msgspec.json.encode(request) for request in found.requests]
        rounds = 2_000
        measure(benchmark, lambda: table.bench(requests, rounds), rounds * len(requests), **info)
        return
    compiled = load(build, "build").compile(found.transaction)
    match, listener_of = load(build, "match"), load(build, "listener").listener_of
    host_of, target_of = load(build, "authority").parse_host, load(build, "target").parse_target
    contract = load(build, "contract")
    socket = next(iter(compiled.sockets.values()))
    prepared = []
    for item in found.requests:
        request = contract.decode_request(msgspec.json.encode(item))
        target = target_of(request.method, request.target)
        prepared.append((request, host_of(request.authority), target.path, target.query))

    def run() -> None:
        for request, host, path, query in prepared:
            rest = {"authority": request.authority, "path": path, "query": query, "headers": request.headers}
            match.find(listener_of(socket, host), match.head_of(method=request.method, host=host, **rest))

    assert all(
        match.find(
            listener_of(socket, host),
            match.head_of(
                method=request.method,
                host=host,
                authority=request.authority,
                path=path,
                query=query,
                headers=request.headers,
            ),
        )
        for request, host, path, query in prepared
    )
    measure(benchmark, run, len(prepared), **info)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("build", BUILDS)
def test_compile(
    benchmark: BenchmarkFixture, build: str, size: int, workloads: dict[tuple[int, str], Workload]
) -> None:
    """From the bytes of a full state to a table."""
    transaction = workloads[size, "spread"].transaction
    make = _native.RouteTable if build == "rust" else load(build, "build").compile
    measure(benchmark, lambda: make(transaction), 1, kind="compile", build=build, size=size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("build", BUILDS)
def test_change(benchmark: BenchmarkFixture, build: str, size: int, workloads: dict[tuple[int, str], Workload]) -> None:
    """From the bytes of a transaction that changes one route to the next table."""
    found = workloads[size, "spread"]
    info = {"kind": "change one route", "build": build, "size": size}
    if build == "rust":
        table = _native.RouteTable(found.transaction)
        measure(benchmark, lambda: table.apply(found.change), 1, **info)
        return
    package = importlib.import_module(PACKAGES[build])
    ir = importlib.import_module("sluicegate.ir")
    state = ir.decode(found.transaction)
    measure(benchmark, lambda: package.compile(package.merge(state, ir.decode(found.change))), 1, **info)
