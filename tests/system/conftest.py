"""Fixtures of the tests over real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from system_backends import Answer, Answer2, Backend, Backend2, echo, echo2
from system_certificates import Authority
from system_clients import Http1, Http2
from system_gateway import Gateway
from system_manifests import Manifest

Start = Callable[..., Gateway]
Client = type[Http1] | type[Http2]


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start gateways; all are stopped at the end of the module, and have to end well."""
    running: list[Gateway] = []

    def start_one(*objects: Manifest, folder: Path | None = None, **rest: Any) -> Gateway:
        gateway = Gateway(folder or tmp_path_factory.mktemp("manifests"), *objects, **rest)
        running.append(gateway)
        return gateway

    yield start_one
    statuses = [gateway.stop() for gateway in running]
    assert set(statuses) <= {0}, [gateway.errors for gateway in running]


@pytest.fixture(scope="module")
def backend() -> Iterator[Callable[..., Backend]]:
    """Start HTTP/1.1 backends: by name (they echo) or with an answer of their own."""
    running: list[Backend] = []

    def start_one(answer: str | Answer, **rest: object) -> Backend:
        found = Backend(echo(answer) if isinstance(answer, str) else answer, **rest)  # type: ignore[arg-type]
        running.append(found)
        return found

    yield start_one
    for each in running:
        each.close()


@pytest.fixture(scope="module")
def backend2() -> Iterator[Callable[..., Backend2]]:
    """Start HTTP/2 backends."""
    running: list[Backend2] = []

    def start_one(answer: str | Answer2, **rest: object) -> Backend2:
        found = Backend2(echo2(answer) if isinstance(answer, str) else answer, **rest)
        running.append(found)
        return found

    yield start_one
    for each in running:
        each.close()


@pytest.fixture(params=[Http1, Http2], ids=["http1", "http2"])
def client(request: pytest.FixtureRequest) -> Client:
    """Each protocol version that clients speak."""
    found: Client = request.param
    return found
